"""A family of comparisons judged together: adjusted p values and simultaneous intervals.

Simultaneous intervals all hold their true difference in 95 % of studies, so that they may be read together as
the adjusted p values are. They are Bonferroni's, which hold for any family; for many variants against one
reference under a pooled variance they are Dunnett's, which are exact there. The tests are stepwise (Holm's,
or the stepwise Dunnett) and reject a little more than single intervals can show: a comparison may be detected
while its simultaneous interval still reaches 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cmae_ablate.report.dunnett import critical_value, step_down
from cmae_ablate.report.stats import ALPHA, Bounds, holm, t_interval


@dataclass(frozen=True)
class Tested:
    """One comparison's test.

    Attributes:
        delta: Mean difference.
        error: Its standard error; NaN below two pairs.
        df: Of the t test.
        p: Unadjusted.
    """

    delta: float
    error: float
    df: float
    p: float


def adjusted_p(family: Sequence[Tested], *, dunnett: bool) -> list[float]:
    """Family-wise adjusted p values: Holm's, or the stepwise Dunnett's. NaN where there is no p."""
    if not dunnett:
        return holm([test.p for test in family])
    statistics = [test.delta / test.error if test.error > 0 else math.nan for test in family]
    df = next((test.df for test in family if not math.isnan(test.df)), math.nan)
    return statistics if math.isnan(df) else step_down(statistics, df)


def simultaneous(family: Sequence[Tested], *, dunnett: bool) -> list[Bounds]:
    """Intervals that hold all true differences in 95 % of studies; NaN where nothing can be said."""
    intervals: list[Bounds] = []
    for test in family:
        if math.isnan(test.error):
            intervals.append((math.nan, math.nan))
        elif dunnett:
            reach = critical_value(len(family), test.df) * test.error
            intervals.append((test.delta - reach, test.delta + reach))
        else:
            intervals.append(t_interval(test.delta, test.error, test.df, ALPHA / len(family)))
    return intervals
