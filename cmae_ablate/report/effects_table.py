"""`effects.csv` and `contrasts.csv`: every statistic of every comparison, unrounded."""

from __future__ import annotations

import math

import pandas as pd

from cmae_ablate.report.effects import Comparison, Effect
from cmae_ablate.report.verdict import phrase
from cmae_ablate.report.wording import seed_ranges


def effects_table(comparison: Comparison) -> pd.DataFrame:
    """One row a variant against the reference, in table order; the first ten columns are the Contract's."""
    return pd.DataFrame([_line(effect, comparison) for effect in comparison.effects])


def contrasts_table(comparison: Comparison) -> pd.DataFrame:
    """One row a declared contrast, also those against another variant than the reference."""
    return pd.DataFrame([_line(effect, comparison) for effect in comparison.declared])


def _line(effect: Effect, comparison: Comparison) -> dict[str, object]:
    result = effect.paired
    line: dict[str, object] = {
        "variant": effect.variant,
        "n": result.n,
        "mean": result.mean,
        "std": result.std,
        "delta": result.delta,
        "ci_low": result.ci_low,
        "ci_high": result.ci_high,
        "p": result.p,
        "p_holm": effect.p_holm,
        "dz": result.dz,
        "against": effect.against,
        "metric": comparison.metric.name,
        "family": effect.family,
        "seeds": seed_ranges(effect.seeds),
        "std_delta": result.noise,
        "bootstrap_low": effect.bootstrap[0],
        "bootstrap_high": effect.bootstrap[1],
        "sim_low": effect.simultaneous[0],
        "sim_high": effect.simultaneous[1],
        "among": effect.among,
        "effect_of_interest": effect.effect_of_interest,
        "required_pairs": effect.required_pairs,
        "required_pairs_low": effect.required_pairs_interval[0],
        "required_pairs_high": effect.required_pairs_interval[1],
        "minimum_detectable_effect": effect.minimum_detectable_effect,
        "identical": effect.identical,
    }
    line |= {column: value for part in _ON_DEMAND for column, value in part(effect, comparison).items()}
    return line | {"verdict": phrase(effect, comparison)}


def _of_margin(effect: Effect, comparison: Comparison) -> dict[str, object]:
    """Equivalence, where the study declares a margin."""
    margin, equal = comparison.description.equivalence_margin, effect.equivalence
    if margin is None:
        return {}
    return {
        "margin": margin,
        "tost_p": equal.p if equal else math.nan,
        "tost_p_holm": effect.equivalence_p_holm,
        "not_below_p": equal.p_no_worse if equal else math.nan,
        "not_above_p": equal.p_no_better if equal else math.nan,
    }


def _over_images(effect: Effect, comparison: Comparison) -> dict[str, object]:
    """Seeds and test images together, where predictions were kept."""
    if not any(e.two_way for e in comparison.contrasts):
        return {}
    known = ("ci_low", "low"), ("ci_high", "high"), ("df", "df"), ("clusters", "clusters")
    return {f"two_way_{name}": _field(effect.two_way, attribute) for attribute, name in known}


def _of_variance(effect: Effect, comparison: Comparison) -> dict[str, object]:
    """The declared estimate of variance, where it is not the paired one."""
    if not any(e.modelled for e in comparison.contrasts):
        return {}
    known = ("ci_low", "low"), ("ci_high", "high"), ("p", "p"), ("df", "df")
    line = {f"{comparison.variance}_{name}": _field(effect.modelled, key) for key, name in known}
    return line | {"variance_ratio": _field(effect.modelled, "ratio")}


def _as_planned(effect: Effect, comparison: Comparison) -> dict[str, object]:
    """The planned seeds alone, where seeds were added later."""
    if not any(e.planned for e in comparison.contrasts):
        return {}
    return {
        f"planned_{name}": _field(effect.planned, name) for name in ("n", "delta", "ci_low", "ci_high", "p")
    }


def _field(result: object, name: str) -> object:
    return getattr(result, name) if result else math.nan


def _of_rule(effect: Effect, comparison: Comparison) -> dict[str, object]:
    """Where it stands by the rule for adding seeds; `half_width` is that from `sim_low` to `sim_high`."""
    if comparison.description.rule is None:
        return {}
    standing = effect.standing
    settled = "" if standing is None else standing.settled or "open"
    return {"settled": settled, "half_width": _field(standing, "half_width")}


_ON_DEMAND = (_of_margin, _over_images, _of_variance, _as_planned, _of_rule)
