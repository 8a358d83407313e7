"""Faster or more: what curves on validation images show, by arithmetic written out."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report import ReportExtras, write_report
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.progress import Progress, progress
from tests.report.conftest import build_study

METRIC = "linear_probe.validation_top1"
NOISE = [0.2, -0.3, 0.1, -0.1, 0.1]
T_4, T_2 = 2.776445105, 4.302652730
"""Two-sided 95 % quantiles of t with 4 and with 2 degrees of freedom (Fisher and Yates)."""


def measured(curves: dict[str, dict[int, list[float]]]) -> pd.DataFrame:
    """Rows of `progress.csv`: by variant and epoch one value a seed."""
    return pd.DataFrame(
        [
            {"variant": variant, "seed": seed, "epoch": epoch, "metric": METRIC, "value": value}
            for variant, by_epoch in curves.items()
            for epoch, values in by_epoch.items()
            for seed, value in enumerate(values)
        ]
    )


def study_of(*variants: str, **changes: object) -> StudyDescription:
    return build_study({variant: [30.0, 31.0, 32.0, 33.0, 34.0] for variant in variants}, **changes)[0]


def lead(*by_epoch: float) -> dict[str, dict[int, list[float]]]:
    """CMAE this far before MAE after epochs 2, 4, ..., with a little noise in the differences."""
    base = [20.0, 22.0, 21.0, 19.0, 20.5]
    epochs = [2 * (at + 1) for at in range(len(by_epoch))]
    mae = {epoch: [v + epoch for v in base] for epoch in epochs}
    # Another seed is the odd one at each epoch, so that changes of a lead have noise, too.
    noise = {epoch: NOISE[at:] + NOISE[:at] for at, epoch in enumerate(epochs)}
    cmae = {
        epoch: [v + gap + n for v, n in zip(mae[epoch], noise[epoch], strict=True)]
        for epoch, gap in zip(epochs, by_epoch, strict=True)
    }
    return {"MAE": mae, "CMAE": cmae}


def plain(text: str) -> str:
    """With straight quotes."""
    return text.replace("\N{LEFT SINGLE QUOTATION MARK}", "'").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def found(curves: dict[str, dict[int, list[float]]], sensitive: bool | None = True) -> Progress:
    result = progress(measured(curves), study_of(*curves), sensitive)
    assert result is not None
    return result


def test_a_band_is_the_t_interval_of_the_mean_over_seeds() -> None:
    values = [20.0, 22.0, 27.0]
    point = found({"MAE": {2: values, 4: values}}).points[0]
    mean, sd = 23.0, math.sqrt((9 + 1 + 16) / 2)
    half = T_2 * sd / math.sqrt(3)
    assert (point.variant, point.epoch, point.n, point.mean) == ("MAE", 2, 3, mean)
    assert (point.ci_low, point.ci_high) == pytest.approx((mean - half, mean + half), rel=1e-8)


def test_leads_are_paired_by_seed_and_their_changes_too() -> None:
    table = found(lead(1.0, 3.0)).table
    first, last, change = table.to_dict("records")
    sd = math.sqrt(sum(n**2 for n in NOISE) / 4)  # the noise sums to 0
    assert (first["epoch"], last["epoch"], change["since"]) == (2, 4, 2)
    assert (first["delta"], last["delta"]) == pytest.approx((1.0, 3.0))
    assert first["ci_high"] - first["delta"] == pytest.approx(T_4 * sd / math.sqrt(5), rel=1e-8)
    moved = [b - a for a, b in zip(NOISE, NOISE[1:] + NOISE[:1], strict=True)]
    of_change = math.sqrt(sum(n**2 for n in moved) / 4)
    assert change["delta"] == pytest.approx(2.0)
    assert change["ci_high"] - change["delta"] == pytest.approx(T_4 * of_change / math.sqrt(5), rel=1e-8)


def test_holm_covers_all_leads_and_changes() -> None:
    table = found(lead(0.2, 0.3, 0.4)).table
    ordered = table.sort_values("p")
    assert len(ordered) == 3 + 2
    adjusted, largest = [], 0.0
    for rank, p in enumerate(ordered["p"]):
        largest = max(largest, min(1.0, (5 - rank) * p))
        adjusted.append(largest)
    assert ordered["p_holm"].tolist() == pytest.approx(adjusted, rel=1e-12)


SENTENCES = {
    "faster and more": (
        lead(3.0, 3.0),
        "leads 'MAE' after epoch 2 (+3.00 points, 95 % CI +2.75 to +3.25) and after epoch 4",
        "it learns faster, and more in these epochs; whether the distance grows or shrinks is not shown.",
    ),
    "the distance grows": (
        lead(3.0, 6.0),
        "",
        "it learns faster, and more in these epochs; the distance grows on the way.",
    ),
    "faster alone": (
        lead(3.0, 0.0),
        "and not detectably after epoch 4",
        "it learns faster; the distance shrinks on the way; whether it learns more is not shown.",
    ),
    "more alone": (
        lead(0.0, 3.0),
        "leads 'MAE' only after epoch 4",
        "it learns more in these epochs; whether it learns faster is not shown.",
    ),
    "slower, then more": (
        lead(-3.0, 3.0),
        "and leads after epoch 4",
        "more slowly at first, and more in all.",
    ),
    "slower and less": (
        lead(-3.0, -3.0),
        "trails 'MAE' after epoch 2",
        "more slowly, and less in these epochs; whether the distance grows or shrinks is not shown.",
    ),
    "nothing": (
        lead(0.1, 0.1),
        "'CMAE' does not differ detectably from 'MAE'",
        "after any of the measured epochs: neither faster nor more is shown.",
    ),
}


@pytest.mark.parametrize("kind", SENTENCES)
def test_a_sentence_says_no_more_than_the_numbers(kind: str) -> None:
    curves, part, ending = SENTENCES[kind]
    (told,) = map(plain, found(curves).sentences)
    assert told.startswith("Progress: 'CMAE' ")
    assert part in told
    assert told.endswith(ending)


def test_a_study_that_does_not_see_its_positive_control_speaks_of_no_lead() -> None:
    told = found(lead(3.0, 3.0), sensitive=False).sentences
    assert told == ("Progress: insensitive, as the study is; its curves say nothing about its variants.",)


def test_one_epoch_alone_tells_neither() -> None:
    assert found(lead(3.0)).sentences == ()


def test_epochs_that_one_variant_does_not_have_are_compared_with_nothing() -> None:
    curves = lead(3.0, 3.0, 3.0)
    del curves["CMAE"][4]
    assert [row["epoch"] for row in found(curves).table.to_dict("records")] == [2, 6, 6]


def test_declared_contrasts_are_what_is_compared() -> None:
    curves = {**lead(1.0, 2.0), "linear": lead(2.0, 2.0)["CMAE"]}
    study = study_of(*curves, contrasts=(("linear", "CMAE"),))
    result = progress(measured(curves), study)
    assert result is not None
    assert {(row.variant, row.against) for row in result.leads} == {("linear", "CMAE")}


def test_the_report_writes_figure_numbers_and_sentence(tmp_path: Path) -> None:
    study, trials = build_study(
        {"MAE": [30.0, 31.0, 32.0, 33.0, 34.0], "CMAE": [33.1, 33.9, 35.2, 35.8, 37.0]}
    )
    files = write_report(
        study, trials, None, tmp_path, artifacts=ReportExtras(progress=measured(lead(3.0, 3.0)))
    )
    assert {"progress.png", "progress.pdf", "progress.csv", "progress_effects.csv"} <= set(files.paths)
    assert any(plain(note).startswith("Progress: 'CMAE' leads 'MAE'") for note in files.notes)
    page = (tmp_path / "index.html").read_text()
    assert "95 % t intervals" in page
    assert len(pd.read_csv(tmp_path / "progress.csv")) == 20


def test_one_seed_is_no_test_of_a_curve() -> None:
    curves = {label: {2: [20.0 + gain], 4: [22.0 + gain]} for label, gain in (("MAE", 0.0), ("CMAE", 5.0))}
    assert found(curves).sentences == (
        "Progress: not tested, as no compared pair was measured under two seeds.",
    )


def test_a_variant_without_a_curve_is_named() -> None:
    result = progress(measured(lead(5.0, 5.0)), study_of("MAE", "CMAE", "linear"))
    assert result is not None
    assert plain(result.sentences[-1]) == "Progress: nothing was measured of 'linear'."
