"""Which contrasts are settled, and which seeds a study wants next: a function of its finished cells alone.

So whoever asks, a worker, another launch, `status` or the report, and whenever, comes to the same decision.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cmae_ablate.report.seed_rule import Reason, SeedRule
from cmae_ablate.report.sequential import (
    expected_pairs,
    half_width,
    repeated,
    repeated_equivalence,
)
from cmae_ablate.report.shared_error import Share, contrast_differences, share_of
from cmae_ablate.report.stats import ALPHA, Values, holm

Pair = tuple[str, str]
ByCell = Mapping[tuple[str, int], float]
"""The deciding metric of complete cells, by variant and seed."""


@dataclass(frozen=True)
class Standing:
    """How far a declared contrast is.

    Attributes:
        seeds: Those it has been judged by, one a pair; none before its first look.
        settled: Why it gets no further seed; None while it goes on.
        delta: The mean difference; NaN before the first look, as are the others.
        noise: Standard deviation of the differences, with n - 1.
        half_width: Of its simultaneous interval.
        p: Over all looks, not adjusted.
        p_equal: Of equivalence, over all looks; NaN without a smallest effect.
        expected: Seeds after which it is narrow enough if its noise stays; inf: more than the rule allows.
        share: What it may spend of the 5 % that all share; None before the first look.
    """

    variant: str
    against: str
    seeds: tuple[int, ...] = ()
    settled: Reason | None = None
    delta: float = math.nan
    noise: float = math.nan
    half_width: float = math.nan
    p: float = math.nan
    p_equal: float = math.nan
    expected: float = math.nan
    share: Share | None = None

    @property
    def pair(self) -> Pair:
        """Its two variants."""
        return self.variant, self.against


@dataclass(frozen=True)
class Settling:
    """Where a study stands by its rule.

    Attributes:
        contrasts: In the order of the family.
        wanted: How many seeds, from 0 on, each variant is to have by now.
    """

    contrasts: tuple[Standing, ...]
    wanted: Mapping[str, int]

    @property
    def is_over(self) -> bool:
        """Whether no contrast goes on."""
        return all(each.settled for each in self.contrasts)


def settle(
    rule: SeedRule,
    variants: Sequence[str],
    family: Sequence[Pair],
    values: ByCell,
    failed: Collection[tuple[str, int]] = (),
) -> Settling:
    """Follow the rule from the first look on, as far as the finished cells go.

    All contrasts that are open are looked at together, once every cell that they need is over. A cell that
    failed for good makes no pair; a contrast is then judged by the pairs of the last look that it can fill.

    Args:
        rule: The study's.
        variants: All of the study; each gets the first seeds.
        family: The declared contrasts; one whose variants are not all there is never settled.
        values: Of complete cells.
        failed: Cells that failed for good.
    """
    wanted = dict.fromkeys(variants, rule.looks.first)
    standings = [Standing(*pair) for pair in family]
    differences = contrast_differences(family, _by_seed(values))
    for look in rule.looks.pairs:
        known = [each for each in standings if each.settled is None and set(each.pair) <= set(variants)]
        members = {variant for each in known for variant in each.pair}
        wanted |= dict.fromkeys(members, look)
        needed = [(variant, seed) for variant in members for seed in range(look)]
        if not members or any(cell not in values and cell not in failed for cell in needed):
            break
        looked = [
            _looked_at(each, rule, values, look, differences) if each in known else each for each in standings
        ]
        ends = members if look == rule.looks.most else frozenset[str]()
        standings = _settled(looked, rule, ends)
    return Settling(tuple(standings), wanted)


def _looked_at(
    before: Standing, rule: SeedRule, values: ByCell, look: int, differences: pd.DataFrame
) -> Standing:
    """The contrast with its numbers at a look; as before where too few cells are complete."""
    seeds = [s for s in range(look) if all((variant, s) in values for variant in before.pair)]
    seeds = seeds[: rule.looks.last(len(seeds))]
    if not seeds:
        return before
    ours, theirs = (_array([values[variant, s] for s in seeds]) for variant in before.pair)
    found = repeated(ours, theirs, rule.looks)
    share = share_of(differences, seeds[-1], rule.sharing)
    p_equal = math.nan
    if rule.smallest_effect is not None:
        p_equal = repeated_equivalence(ours, theirs, rule.smallest_effect, rule.looks).p
    # Without any noise there is nothing to judge by: the same number in every seed settles nothing.
    is_known = found.noise > 0 and not found.noiseless
    return replace(
        before,
        seeds=tuple(seeds),
        delta=found.delta,
        noise=found.noise,
        half_width=half_width(rule.looks, len(seeds), found.noise, share.level) if is_known else math.nan,
        p=found.p if is_known else math.nan,
        p_equal=p_equal if is_known else math.nan,
        expected=expected_seeds(rule, found.noise, share.level) if is_known else math.nan,
        share=share,
    )


def expected_seeds(rule: SeedRule, noise: float, level: float) -> float:
    """Seeds after which a contrast of this noise is settled at the latest; inf: not within the budget.

    By its width: what a precision asks for, and half of a smallest effect, within which an interval that
    reaches 0 lies inside the margin.

    Args:
        rule: The study's.
        noise: Standard deviation of its differences.
        level: Its share of the 5 %.
    """
    widths = [rule.precision or 0.0, (rule.smallest_effect or 0.0) / 2]
    return expected_pairs(rule.looks, noise, max(widths), level)


def _settled(standings: Sequence[Standing], rule: SeedRule, ends: Collection[str]) -> list[Standing]:
    """What a look has settled; `ends` are the variants that have all the seeds they can get."""
    differs, equal = (
        [p < ALPHA for p in holm(p_values, [_joint(*each) for each in zip(standings, p_values, strict=True)])]
        for p_values in ([each.p for each in standings], [each.p_equal for each in standings])
    )
    found = []
    for each, is_different, is_equal in zip(standings, differs, equal, strict=True):
        reasons: dict[Reason, bool] = {
            "different": rule.smallest_effect is not None and is_different,
            "equal": is_equal,
            "narrow": rule.precision is not None and each.half_width <= rule.precision,
            "budget": set(each.pair) <= set(ends),
        }
        reason = next((name for name, holds in reasons.items() if holds), None)
        found.append(replace(each, settled=each.settled or reason))
    return found


def _joint(standing: Standing, p: float) -> float:
    return math.nan if standing.share is None else standing.share.joint(p)


def _by_seed(values: ByCell) -> pd.DataFrame:
    """One row a seed, one column a variant."""
    found: dict[str, dict[int, float]] = {}
    for (variant, seed), value in values.items():
        found.setdefault(variant, {})[seed] = value
    return pd.DataFrame(found).sort_index()


def _array(numbers: Sequence[float]) -> Values:
    return np.array(numbers, dtype=np.float64)
