"""A family of comparisons judged together: adjusted p values and simultaneous intervals.

Simultaneous intervals all hold their true difference in 95 % of studies, so that they may be read together as
the adjusted p values are. They are Bonferroni's, which hold for any family; for many variants against one
reference under a pooled variance they are Dunnett's, which are exact there; where seeds are added by a rule
they are as wide as the family's correlation asks for (`shared_error.py`). The tests are stepwise (Holm's,
there with no p adjusted to more than the intervals' level asks for, or the stepwise Dunnett) and reject a
little more than single intervals can show: a comparison may be detected while its simultaneous interval still
reaches 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from cmae_ablate.report.dunnett import critical_value, step_down
from cmae_ablate.report.effect import DECLARED, DUNNETT, HOLM, REFERENCE, Effect
from cmae_ablate.report.seed_rule import Looks, SeedRule
from cmae_ablate.report.sequential import look_level
from cmae_ablate.report.shared_error import Share, share_of
from cmae_ablate.report.stats import Bounds, holm, t_interval, within
from cmae_ablate.report.variance import MODERATED, POOLED, Prior, modelled, moderated_prior, pooled_prior


@dataclass(frozen=True)
class _Tested:
    """One comparison's declared test; NaN where it cannot be tested."""

    delta: float
    error: float
    df: float
    p: float


def declared_prior(variance: str, effects: Sequence[Effect], values: pd.DataFrame) -> Prior | None:
    """The declared variance, where it is not each comparison's own and can be estimated.

    Args:
        variance: `paired`, `pooled` or `moderated`.
        effects: All comparisons of the study.
        values: One row a seed, one column a variant.
    """
    if variance == POOLED:
        return pooled_prior(values)
    if variance == MODERATED:
        return moderated_prior([e.paired for e in effects if e.family == DECLARED])
    return None


def judged(
    effects: Sequence[Effect],
    prior: Prior | None,
    span: float,
    rule: SeedRule | None = None,
    differences: pd.DataFrame | None = None,
) -> list[Effect]:
    """The same effects with the declared test, adjusted over the family of declared comparisons.

    Args:
        effects: All comparisons, in any order.
        prior: Of a declared variance other than `paired`.
        span: The metric's highest possible value minus its lowest.
        rule: By which seeds are added, if they are: intervals then hold at all of its looks.
        differences: Of the declared comparisons then, one row a seed, one column a comparison, in any order.
    """
    tested = [
        replace(e, modelled=modelled(e.paired, prior, span)) if prior and e.family != REFERENCE else e
        for e in effects
    ]
    declared = [index for index, effect in enumerate(tested) if effect.family == DECLARED]
    family = [_test(tested[i]) for i in declared]
    dunnett = (
        prior is not None
        and prior.kind == POOLED
        and _many_to_one([tested[i] for i in declared])
        and all(test.error > 0 for test in family)
    )
    shares = [_share(tested[i], len(declared), rule, differences) for i in declared]
    p_values = _adjusted(family, shares, dunnett=dunnett)
    tested_equal = [e.p if (e := tested[i].equivalence) else math.nan for i in declared]
    equal = _holm(tested_equal, shares)
    for index, test, share, p, p_equal in zip(declared, family, shares, p_values, equal, strict=True):
        interval = _simultaneous(test, share, dunnett=dunnett, looks=rule.looks if rule else None)
        tested[index] = replace(
            tested[index],
            p_holm=p,
            correction=DUNNETT if dunnett else HOLM,
            among=len(declared),
            simultaneous=within(interval, span),
            equivalence_p_holm=p_equal,
        )
    return tested


def _test(effect: Effect) -> _Tested:
    own, declared = effect.paired, effect.modelled
    if own.n < 2:
        return _Tested(own.delta, math.nan, math.nan, math.nan)
    noise, df = (own.noise, own.n - 1) if declared is None else (declared.noise, declared.df)
    return _Tested(own.delta, noise / math.sqrt(own.n), df, effect.p_declared)


def _many_to_one(declared: Sequence[Effect]) -> bool:
    """Whether Dunnett's test fits the family: one `against`, and as many seeds everywhere."""
    return len({e.against for e in declared}) == 1 and len({e.paired.n for e in declared}) == 1


def _share(
    effect: Effect, comparisons: int, rule: SeedRule | None, differences: pd.DataFrame | None
) -> Share:
    """What a comparison may spend of the 5 %: Bonferroni's share where the number of seeds is fixed."""
    if rule is None or differences is None or not effect.seeds:
        return Share(comparisons)
    return share_of(differences, effect.seeds[-1], rule.sharing)


def _holm(p_values: Sequence[float], shares: Sequence[Share]) -> list[float]:
    return holm(p_values, [share.joint(p) for share, p in zip(shares, p_values, strict=True)])


def _adjusted(family: Sequence[_Tested], shares: Sequence[Share], *, dunnett: bool) -> list[float]:
    if not dunnett:
        return _holm([test.p for test in family], shares)
    return step_down([test.delta / test.error for test in family], family[0].df)


def _simultaneous(test: _Tested, share: Share, *, dunnett: bool, looks: Looks | None) -> Bounds:
    if math.isnan(test.error):
        return math.nan, math.nan
    if looks is not None:
        pairs = round(test.df) + 1
        if pairs not in looks.pairs:
            return math.nan, math.nan
        level = look_level(looks, pairs, share.level)
        return t_interval(test.delta, test.error, test.df, level)
    if not dunnett:
        return t_interval(test.delta, test.error, test.df, share.level)
    reach = critical_value(share.comparisons, test.df) * test.error
    return test.delta - reach, test.delta + reach
