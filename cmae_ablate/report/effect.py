"""One comparison of a study, with everything that is computed of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cmae_ablate.report.settling import Standing
from cmae_ablate.report.stats import Bounds, Equivalence, Paired
from cmae_ablate.report.two_way import TwoWay
from cmae_ablate.report.variance import Modelled

REFERENCE, DECLARED, EXPLORATORY = "reference", "declared", "exploratory"
HOLM, DUNNETT = "Holm", "Dunnett"
"""Whose correction an adjusted p is; Dunnett's is his stepwise test."""


@dataclass(frozen=True)
class Effect:
    """One variant against another, paired by seed.

    Attributes:
        family: `reference` (its own row, no comparison), `declared` (in Holm's family) or `exploratory`.
        seeds: The paired seeds.
        differences: One difference a paired seed.
        paired: The statistics over these pairs; for the reference's own row over all its complete cells.
        planned: The same over planned seeds alone, where seeds were added later.
        modelled: The test by the variance that the study declares, where that is not the paired one.
        p_holm: Of the declared test, adjusted over the family: Holm's, or the stepwise Dunnett's where a
            pooled variance is declared and all contrasts share their `against`; with a rule for adding seeds
            no more than the family's correlation asks for (`shared_error.py`); NaN outside the family.
        correction: Whose `p_holm` is: `HOLM` or `DUNNETT`.
        among: How many comparisons `p_holm`, `simultaneous` and the planning allow for: the family's size, 1
            outside it.
        simultaneous: The interval that holds together with those of the whole family, by the declared test.
        equivalence_p_holm: Holm-adjusted `equivalence.p`.
        effect_of_interest: The smallest difference worth detecting, which alone is planned for: the margin,
            or one point of an accuracy; NaN where the study states none.
        required_pairs: Paired seeds that detect it with 80 % power, the present ones included.
        required_pairs_interval: The same at both ends of the noise's own 95 % interval.
        minimum_detectable_effect: The smallest true difference that the present pairs detect with 80 % power.
        identical: Both encoders have equal weights under every paired seed, compute alike with them and are
            judged alike; never by equal numbers alone.
        standing: Where a declared contrast stands by the study's rule for adding seeds, if it has one.
        one_image: What one test image is worth, in the metric's unit; NaN where unknown.
    """

    variant: str
    against: str
    family: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    paired: Paired
    planned: Paired | None = None
    bootstrap: Bounds = (math.nan, math.nan)
    equivalence: Equivalence | None = None
    two_way: TwoWay | None = None
    modelled: Modelled | None = None
    p_holm: float = math.nan
    correction: str = HOLM
    among: int = 1
    simultaneous: Bounds = (math.nan, math.nan)
    equivalence_p_holm: float = math.nan
    effect_of_interest: float = math.nan
    required_pairs: float = math.nan
    required_pairs_interval: Bounds = (math.nan, math.nan)
    minimum_detectable_effect: float = math.nan
    identical: bool = False
    one_image: float = math.nan
    standing: Standing | None = None

    @property
    def p_declared(self) -> float:
        """Unadjusted p of the test that the study declares."""
        return self.paired.p if self.modelled is None else self.modelled.p
