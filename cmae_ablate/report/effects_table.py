"""`effects.csv` and `contrasts.csv`: every statistic of every comparison, unrounded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from cmae_ablate.report.effects import Comparison, Effect
from cmae_ablate.report.verdict import verdict
from cmae_ablate.report.wording import seed_ranges


def effects_table(comparison: Comparison) -> pd.DataFrame:
    """One row a variant against the reference, in table order; the first ten columns are the Contract's."""
    return pd.DataFrame([_line(effect, comparison) for effect in comparison.effects])


def contrasts_table(comparison: Comparison) -> pd.DataFrame:
    """One row a declared contrast, also those against another variant than the reference."""
    return pd.DataFrame([_line(effect, comparison) for effect in comparison.declared])


def _line(effect: Effect, comparison: Comparison) -> dict[str, object]:
    result, planned, margin = effect.paired, effect.planned, comparison.description.equivalence_margin
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
    if margin is not None:
        equal = effect.equivalence
        line |= {
            "margin": margin,
            "tost_p": equal.p if equal else math.nan,
            "tost_p_holm": effect.equivalence_p_holm,
            "not_below_p": equal.p_no_worse if equal else math.nan,
            "not_above_p": equal.p_no_better if equal else math.nan,
        }
    if any(e.two_way for e in comparison.contrasts):
        line |= {
            "two_way_low": effect.two_way.ci_low if effect.two_way else math.nan,
            "two_way_high": effect.two_way.ci_high if effect.two_way else math.nan,
            "two_way_df": effect.two_way.df if effect.two_way else math.nan,
            "two_way_clusters": effect.two_way.clusters if effect.two_way else math.nan,
        }
    if any(e.modelled for e in comparison.contrasts):
        declared, kind = effect.modelled, comparison.variance
        line |= {
            f"{kind}_low": declared.ci_low if declared else math.nan,
            f"{kind}_high": declared.ci_high if declared else math.nan,
            f"{kind}_p": declared.p if declared else math.nan,
            f"{kind}_df": declared.df if declared else math.nan,
            "variance_ratio": declared.ratio if declared else math.nan,
        }
    if any(e.planned for e in comparison.contrasts):
        line |= {f"planned_{k}": getattr(planned, k) if planned else math.nan for k in _PLANNED}
    return line | {"verdict": verdict(effect, comparison.metric, margin)}


_PLANNED: Sequence[str] = ("n", "delta", "ci_low", "ci_high", "p")
