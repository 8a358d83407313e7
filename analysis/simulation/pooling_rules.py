"""One answer over several data sets: rules that could pool and predict, by how often their intervals hold.

Run:   python -m analysis.simulation.pooling_rules            (about three minutes of one core) 2,000 studies
a cell. A contrast's true difference is normal over data sets with mean 0 and deviation `tau`; on each of
`datasets` it is measured with `seeds` paired seeds, whose differences have deviation 1, or alternately 1 and
2 (`noise` 2:1). `tau` is in units of the smaller deviation. Rules:

- `report`: what the package says (`cmae_ablate/report/random_effects.py`), which is `mean`;
- `mean`: the unweighted mean of the data sets' mean differences, by t with k - 1 degrees of freedom; for a
new
  data set the same mean plus and minus t s sqrt(1 + 1/k), the classical interval of one more observation;
- `dl` and `reml`: inverse-variance weights with tau by DerSimonian and Laird (1986, Controlled Clinical
Trials 7)
  or by restricted maximum likelihood; the mean's interval by Hartung and Knapp (2001, Statistics in Medicine
  20) with t of k - 1, the prediction by Higgins, Thompson and Spiegelhalter (2009, J. R. Statist. Soc. A 172)
  with t of k - 2. The standard errors that weigh are those of the seeds at hand, as a meta-analysis would
  take them;
- `bootstrap`: Nagashima, Noma and Furukawa (2019, Statistical Methods in Medical Research 28): tau drawn from
its
  confidence distribution by Q, whose own distribution is a gamma of the same mean and variance here
  (Biggerstaff and Tweedie 1997, Statistics in Medicine 16); the pooled interval is that of `dl`;
- `sensitive only`: `mean` over the data sets that tell a positive control, 3 deviations worse than the
reference it
  shares with the contrast, by a paired t test; studies with fewer than three such data sets pool nothing;
- `where all are`: `mean`, of those studies alone whose data sets all tell it: what is said where a pool is
judged only
  if nothing in it is blind.

Columns: `bias`, the mean of what is pooled, whose truth is 0; `pooled`, studies whose pooled interval holds
the mean 0; `true effect` and `observed effect`, studies whose prediction interval holds the true difference
of a new data set, or the one that as many seeds of it will show; `half-width` of the prediction, the median;
`heterogeneity`, studies in which the data sets are found to differ at 5 % (F of Brown and Forsythe 1974, JASA
69; Cochran's Q for `dl`); `kept`, the share of studies that pool at all.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from cmae_ablate.report.random_effects import Measured, is_heterogeneous, pool

RESULTS = Path(__file__).with_name("pooling_rules.csv")
STUDIES, ALPHA = 2_000, 0.05
DATASETS, SEEDS, TAUS = (3, 5, 8), (3, 5), (0.0, 0.5, 1.0, 2.0)
NOISES: Mapping[str, tuple[float, float]] = {"1:1": (1.0, 1.0), "2:1": (1.0, 2.0)}
CONTROL = 3.0
DRAWS, GRID = 1_000, 80
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """One cell of the simulation."""

    datasets: int
    seeds: int
    noise: str
    tau: float

    @property
    def deviations(self) -> Array:
        """Of a paired difference on each data set, (datasets,)."""
        return np.resize(NOISES[self.noise], self.datasets)


@dataclass(frozen=True)
class Drawn:
    """Simulated studies.

    Attributes:
        means: Mean differences, (studies, datasets).
        errors: Their standard errors as the seeds estimate them, (studies, datasets).
        tells: Whether a data set tells its positive control, (studies, datasets).
        true: A new data set's true difference, (studies,).
        observed: What as many seeds of it show, (studies,).
    """

    means: Array
    errors: Array
    tells: npt.NDArray[np.bool_]
    true: Array
    observed: Array


@dataclass(frozen=True)
class Intervals:
    """What a rule says of each study, (studies,); `differ` is whether it finds the data sets to differ."""

    centre: Array
    pooled: Array
    predicted: Array
    differ: npt.NDArray[np.bool_] | None = None
    kept: npt.NDArray[np.bool_] | None = None


def draw_cells(rng: np.random.Generator, setting: Setting, studies: int) -> tuple[Array, Array, Array]:
    """Reference, variant and positive control of every cell, each (studies, datasets, seeds)."""
    shape, sd = (studies, setting.datasets, setting.seeds), setting.deviations[:, None] / math.sqrt(2)
    reference, variant, control = (rng.normal(0, sd, shape) for _ in range(3))
    effects = rng.normal(0, setting.tau, shape[:2])
    return reference, effects[:, :, None] + variant, control - CONTROL * setting.deviations[:, None]


def draw(rng: np.random.Generator, setting: Setting, studies: int) -> Drawn:
    """Studies whose reference is shared by the contrast and the positive control."""
    reference, variant, control = draw_cells(rng, setting, studies)
    differences, worse = variant - reference, reference - control
    new, noise = rng.normal(0, setting.tau, studies), rng.choice(setting.deviations, studies)
    return Drawn(
        differences.mean(axis=2),
        differences.std(axis=2, ddof=1) / math.sqrt(setting.seeds),
        worse.mean(axis=2) > _t(setting.seeds - 1) * worse.std(axis=2, ddof=1) / math.sqrt(setting.seeds),
        new,
        new + rng.normal(0, 1, studies) * noise / math.sqrt(setting.seeds),
    )


def mean_of(drawn: Drawn, seeds: int) -> Intervals:
    """The unweighted mean."""
    return _mean_over(drawn, np.ones_like(drawn.tells), seeds)


def _mean_over(drawn: Drawn, kept: npt.NDArray[np.bool_], seeds: int) -> Intervals:
    count = kept.sum(axis=1)
    pools = count >= 3
    k = np.maximum(count, 3)
    centre = (drawn.means * kept).sum(axis=1) / k
    between = (np.square(drawn.means - centre[:, None]) * kept).sum(axis=1) / (k - 1)
    squares = np.square(drawn.errors) * kept
    within = squares.sum(axis=1) / k
    df = squares.sum(axis=1) ** 2 / np.maximum((squares**2 / (seeds - 1)).sum(axis=1), 1e-300)
    differ = special.fdtrc(k - 1, np.maximum(df, 1e-9), between / np.maximum(within, 1e-300)) < ALPHA
    reach = _t(k - 1) * np.sqrt(between)
    return Intervals(centre, reach / np.sqrt(k), reach * np.sqrt(1 + 1 / k), differ, pools)


def of_the_report(drawn: Drawn, seeds: int) -> Intervals:
    """What the package itself says of each study."""
    noises = drawn.errors * math.sqrt(seeds)
    found = [
        pool([Measured(float(delta), float(sd), seeds) for delta, sd in zip(deltas, sds, strict=True)])
        for deltas, sds in zip(drawn.means, noises, strict=True)
    ]
    return Intervals(
        np.array([each.mean for each in found]),
        np.array([each.interval[1] - each.mean for each in found]),
        np.array([each.prediction[1] - each.mean for each in found]),
        np.array([is_heterogeneous(each) for each in found]),
    )


def sensitive_only(drawn: Drawn, seeds: int) -> Intervals:
    """The same over the data sets that tell their positive control."""
    return _mean_over(drawn, drawn.tells, seeds)


def where_all_are(drawn: Drawn, seeds: int) -> Intervals:
    """The unweighted mean of the studies whose data sets all tell their positive control."""
    found = mean_of(drawn, seeds)
    return Intervals(found.centre, found.pooled, found.predicted, found.differ, drawn.tells.all(axis=1))


def weighted(drawn: Drawn, tau_squared: Array, differ: npt.NDArray[np.bool_] | None = None) -> Intervals:
    """Inverse-variance weights with Hartung and Knapp's error, and Higgins' prediction."""
    k = drawn.means.shape[1]
    centre, error = _hartung_knapp(drawn, tau_squared)
    return Intervals(centre, _t(k - 1) * error, _t(max(k - 2, 1)) * np.sqrt(tau_squared + error**2), differ)


def _hartung_knapp(drawn: Drawn, tau_squared: Array) -> tuple[Array, Array]:
    k = drawn.means.shape[1]
    weights = 1 / (np.square(drawn.errors) + tau_squared[:, None])
    total = weights.sum(axis=1)
    centre = (weights * drawn.means).sum(axis=1) / total
    spread = (weights * np.square(drawn.means - centre[:, None])).sum(axis=1) / (k - 1)
    return centre, np.sqrt(spread / total)


def dersimonian_laird(drawn: Drawn) -> tuple[Array, Array]:
    """tau squared and Cochran's Q."""
    k = drawn.means.shape[1]
    weights = 1 / np.square(drawn.errors)
    first, second = weights.sum(axis=1), np.square(weights).sum(axis=1)
    centre = (weights * drawn.means).sum(axis=1) / first
    q = (weights * np.square(drawn.means - centre[:, None])).sum(axis=1)
    return np.maximum(0, (q - (k - 1)) / (first - second / first)), q


def reml(drawn: Drawn) -> Array:
    """tau squared by restricted maximum likelihood, by Fisher scoring."""
    squares, found = np.square(drawn.errors), dersimonian_laird(drawn)[0]
    k = drawn.means.shape[1]
    for _ in range(200):
        weights = 1 / (squares + found[:, None])
        total = weights.sum(axis=1)
        centre = (weights * drawn.means).sum(axis=1) / total
        excess = k / (k - 1) * np.square(drawn.means - centre[:, None]) - squares
        found = np.maximum(0, (weights**2 * excess).sum(axis=1) / (weights**2).sum(axis=1))
    return found


def bootstrap(drawn: Drawn, rng: np.random.Generator) -> Intervals:
    """The prediction of Nagashima, Noma and Furukawa, by quantiles of `DRAWS` draws."""
    studies, k = drawn.means.shape
    tau_squared, q = dersimonian_laird(drawn)
    pooled = weighted(drawn, tau_squared)
    weights = 1 / np.square(drawn.errors)
    first, second, third = (np.power(weights, p).sum(axis=1)[:, None] for p in (1, 2, 3))
    slope = first - second / first
    # tau squared from 0 to where even a small chance of Q has passed, in steps that grow.
    scale = (q / np.maximum(special.chdtri(k - 1, 0.999), 1e-3) + 1)[:, None] / slope * (k - 1)
    grid = scale * np.linspace(0, 1, GRID) ** 3
    mean = (k - 1) + slope * grid
    variance = 2 * (k - 1) + 4 * slope * grid
    variance = variance + 2 * (second - 2 * third / first + second**2 / first**2) * grid**2
    chance = special.gammaincc(mean**2 / variance, q[:, None] * mean / variance)  # grows with tau
    uniform = rng.uniform(size=(studies, DRAWS))
    drawn_tau = np.stack([np.interp(u, c, g) for u, c, g in zip(uniform, chance, grid, strict=True)])
    new = np.empty_like(drawn_tau)
    z, t = rng.normal(size=new.shape), rng.standard_t(k - 1, size=new.shape)
    for at in range(DRAWS):
        centre, error = _hartung_knapp(drawn, drawn_tau[:, at])
        new[:, at] = centre + z[:, at] * np.sqrt(drawn_tau[:, at]) - t[:, at] * error
    low, high = np.quantile(new, (ALPHA / 2, 1 - ALPHA / 2), axis=1)
    # Its prediction need not be symmetric about the pooled mean; the pooled interval is `dl`'s.
    middle = (low + high) / 2
    return Intervals(middle, pooled.pooled - np.abs(middle - pooled.centre), (high - low) / 2)


def cell(setting: Setting, studies: int = STUDIES) -> Iterator[dict[str, object]]:
    """A row a rule, all of the same studies."""
    rng = np.random.default_rng(zlib.crc32(repr(setting).encode()))
    drawn = draw(rng, setting, studies)
    k = setting.datasets
    by_q, q = dersimonian_laird(drawn)
    rules = {
        "report": of_the_report(drawn, setting.seeds),
        "mean": mean_of(drawn, setting.seeds),
        "dl": weighted(drawn, by_q, special.chdtrc(k - 1, q) < ALPHA),
        "reml": weighted(drawn, reml(drawn)),
        "bootstrap": bootstrap(drawn, rng),
        "sensitive only": sensitive_only(drawn, setting.seeds),
        "where all are": where_all_are(drawn, setting.seeds),
    }
    for rule, found in rules.items():
        kept = np.ones(studies, bool) if found.kept is None else found.kept
        is_own = rule != "bootstrap"
        numbers = {
            "bias": float(found.centre[kept].mean()) if kept.any() else math.nan,
            "pooled": _share(np.abs(found.centre) <= found.pooled, kept) if is_own else math.nan,
            "true effect": _share(np.abs(drawn.true - found.centre) <= found.predicted, kept),
            "observed effect": _share(np.abs(drawn.observed - found.centre) <= found.predicted, kept),
            "half-width": float(np.median(found.predicted[kept])) if kept.any() else math.nan,
            "heterogeneity": math.nan if found.differ is None else _share(found.differ, kept),
            "kept": float(kept.mean()),
        }
        told = {**vars(setting), "rule": rule}
        yield {**told, **{key: round(value, 4) for key, value in numbers.items()}, "studies": studies}


def settings() -> Iterator[Setting]:
    """Every cell."""
    for datasets in DATASETS:
        for seeds in SEEDS:
            for noise in NOISES:
                for tau in TAUS:
                    yield Setting(datasets, seeds, noise, tau)


def _share(holds: npt.NDArray[np.bool_], kept: npt.NDArray[np.bool_]) -> float:
    return float(holds[kept].mean()) if kept.any() else math.nan


def _t(df: npt.ArrayLike) -> Array:
    """The two-sided t quantile."""
    return np.asarray(special.stdtrit(df, 1 - ALPHA / 2))


def main() -> None:
    """Simulate every cell and write the table."""
    rows = [row for setting in settings() for row in cell(setting)]
    pd.DataFrame(rows).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
