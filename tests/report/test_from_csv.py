"""`report STUDY.yaml --trials CSV --out DIR` on constructed data, against scipy and statsmodels called here.

Everything is read back from the files that the command writes.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.effects import compare
from tests.cli.test_app import call

TIGHT = {"rel": 1e-9, "abs": 1e-9, "nan_ok": True}
VARIANTS = ("MAE", "small decoder", "contrastive", "CMAE")
MARGIN = 1.0
STUDY = """\
question: Which?
scale: tiny
design: one_factor
factors:
  method:
    path: .
    levels: {levels}
reference: {{method: MAE}}
seeds: {seeds}
metric: knn.top1
equivalence_margin: 1.0
"""
Values = Mapping[str, Mapping[int, float]]


def draw(seeds: int) -> dict[str, dict[int, float]]:
    """Seed effects that pairing removes, and a different gain for each variant."""
    rng = np.random.default_rng(seeds)
    base = 34 + rng.normal(0, 2, seeds)
    gains = (0.0, 0.1, 1.2, 2.5)
    return {
        variant: dict(enumerate(base + gain + (rng.normal(0, 0.7, seeds) if gain else 0.0)))
        for variant, gain in zip(VARIANTS, gains, strict=True)
    }


def unbalanced() -> dict[str, dict[int, float]]:
    """Each variant has seeds of its own: five, three, two, one of them with the reference in common."""
    values = draw(5)
    keep = {"small decoder": (0, 1, 2), "contrastive": (3, 4), "CMAE": (4,)}
    return {v: {s: x for s, x in own.items() if s in keep.get(v, range(5))} for v, own in values.items()}


def missing() -> dict[str, dict[int, float]]:
    """One variant has no cell at all, and the reference lacks a seed that the others have."""
    values = draw(4)
    del values["MAE"][2]
    return values | {"contrastive": {}}


def tied() -> dict[str, dict[int, float]]:
    """Few test images: many differences are equal, some are zero."""
    ups = {"MAE": (0, 0, 0, 0), "small decoder": (0, 0, 0, 2.5), "contrastive": (2.5, 2.5, 0, 2.5)}
    ups["CMAE"] = (-2.5, 2.5, -2.5, 2.5)
    base = (32.5, 30.0, 32.5, 35.0)
    return {v: {s: base[s] + up for s, up in enumerate(own)} for v, own in ups.items()}


def constant() -> dict[str, dict[int, float]]:
    """Differences without any noise: none at all, and the same in every seed."""
    base = (32.5, 30.0, 32.5)
    ups = {"MAE": 0.0, "small decoder": 0.0, "contrastive": 1.25, "CMAE": -2.5}
    return {v: {s: x + up for s, x in enumerate(base)} for v, up in ups.items()}


CASES: dict[str, Callable[[], Values]] = {
    **{f"n = {n}": lambda n=n: draw(n) for n in (1, 2, 3, 20)},  # type: ignore[misc]
    "unbalanced": unbalanced,
    "missing": missing,
    "tied": tied,
    "constant": constant,
}


def reported(folder: Path, values: Values, capsys: pytest.CaptureFixture[str]) -> pd.DataFrame:
    """The effects that the command writes for these values, by variant."""
    seeds = max(len(own) for own in values.values())
    levels = "{" + ", ".join(f"{v}: {{decoder: {{dim: {32 + 8 * i}}}}}" for i, v in enumerate(values)) + "}"
    study = folder / "tiny_study.yaml"
    study.write_text(STUDY.format(levels=levels, seeds=seeds))
    rows = [(v, s, "COMPLETE", v, x) for v, own in values.items() for s, x in own.items()]
    rows += [(v, s, "FAILED", v, math.nan) for v, own in values.items() for s in range(seeds) if s not in own]
    trials = pd.DataFrame(rows, columns=["variant", "seed", "state", "method", "knn.top1"])
    trials.to_csv(folder / "given.csv", index=False)
    status, _, err = call(
        capsys, "report", study, "--trials", folder / "given.csv", "--out", folder / "report"
    )
    assert status == 0, err
    return pd.read_csv(folder / "report" / "effects.csv").set_index("variant")


def expected(values: Values) -> pd.DataFrame:
    """The same numbers by hand and from the libraries."""
    rows = {}
    for variant in VARIANTS[1:]:
        own, against = values[variant], values["MAE"]
        seeds = sorted(set(own) & set(against))
        a, b = (np.array([each[s] for s in seeds]) for each in (own, against))
        n, nan = len(seeds), math.nan
        row = {"n": n, "mean": nan, "std": nan, "delta": nan, "ci_low": nan, "ci_high": nan, "p": nan}
        row |= {"dz": nan, "tost_p": nan}
        if n:
            row |= {"mean": a.mean(), "delta": (a - b).mean()}
        if n > 1:
            noise = (a - b).std(ddof=1)
            reach = stats.t.ppf(0.975, n - 1) * noise / math.sqrt(n)
            row |= {"std": a.std(ddof=1), "ci_low": row["delta"] - reach, "ci_high": row["delta"] + reach}
            with np.errstate(all="ignore"):
                row["p"] = stats.ttest_rel(a, b).pvalue
                row["tost_p"] = ttost_paired(a, b, -MARGIN, MARGIN)[0]
                row["dz"] = row["delta"] / noise
        rows[variant] = row
    frame = pd.DataFrame(rows).T
    known = frame["p"].fillna(1.0)
    return frame.assign(p_holm=np.where(frame["p"].isna(), math.nan, multipletests(known, method="holm")[1]))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # scipy's, of data without noise
@pytest.mark.parametrize("case", CASES)
def test_the_command_agrees_with_the_libraries(
    case: str, tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = CASES[case]()
    found, wanted = reported(tiny_study.parent, values, capsys), expected(values)
    for variant, row in wanted.iterrows():
        for column, value in row.items():
            if case == "constant" and column in ("p", "p_holm", "dz", "tost_p"):
                continue  # a ratio to a noise of nothing; what is said instead is tested below
            assert found.loc[variant, column] == pytest.approx(value, **TIGHT), (variant, column)


def test_differences_without_noise_are_stated_and_not_tested(
    tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = reported(tiny_study.parent, constant(), capsys)
    same, higher = found.loc["small decoder"], found.loc["contrastive"]
    assert (same["delta"], same["ci_low"], same["ci_high"]) == (0.0, 0.0, 0.0)
    assert same["verdict"].startswith("inconclusive; the same number of right answers in every seed")
    assert (higher["delta"], higher["ci_low"], higher["ci_high"]) == (1.25, 1.25, 1.25)
    assert higher["verdict"] == "inconclusive; the same difference in every seed leaves no noise to test by"


def test_what_is_missing_is_named_in_the_report(tiny_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reported(tiny_study.parent, missing(), capsys)
    page = (tiny_study.parent / "report" / "index.html").read_text()
    assert "\u2018contrastive\u2019 is incomplete: seeds 0-3 FAILED" in page
    assert "\u2018CMAE\u2019 seed 2 unpaired" in page


@pytest.fixture
def _cheap_collection_of_what_commands_imported() -> None:
    """statsmodels collects garbage for every correction; the commands above imported torch and MLflow."""
    gc.collect()
    gc.freeze()


@pytest.mark.usefixtures("_cheap_collection_of_what_commands_imported")
@pytest.mark.parametrize("n", [3, 20])
def test_null_studies_reject_at_five_percent_and_their_intervals_cover(n: int, build: Callable) -> None:
    # By the command's own path from table to effects. A correct test leaves this range with other random
    # numbers in 1 of 100; 2,000 studies a cell are in analysis/simulation.
    studies = 400
    rng = np.random.default_rng(n)
    base = rng.normal(34, 2, (studies, n))
    values = {"MAE": base, "same": base + rng.normal(0, 1, base.shape)}
    low, high = stats.binom.interval(0.99, studies, 0.05)
    rejected = missed = 0
    for index in range(studies):
        study, trials = build({variant: list(own[index]) for variant, own in values.items()}, report=())
        (effect,) = compare(sort_out(trials, study), study.metric, thorough=False).declared
        rejected += effect.p_holm < 0.05
        missed += not effect.paired.ci_low <= 0 <= effect.paired.ci_high
    assert low <= rejected <= high
    assert low <= missed <= high


@pytest.mark.usefixtures("_cheap_collection_of_what_commands_imported")
def test_holm_keeps_the_error_of_a_whole_null_family(build: Callable) -> None:
    studies, n = 300, 4
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(studies):
        base = rng.normal(34, 2, n)
        values = {v: list(base + (rng.normal(0, 1, n) if v != "MAE" else 0)) for v in VARIANTS}
        study, trials = build(values, report=())
        wrong += any(
            e.p_holm < 0.05 for e in compare(sort_out(trials, study), study.metric, thorough=False).declared
        )
    low, high = stats.binom.interval(0.99, studies, 0.05)  # the three differences are independent
    assert low <= wrong <= high
