"""How well boxes were found, as the report tells it: last numbers, all baselines, and warnings."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report import ReportExtras, write_report
from cmae_ablate.report.localisation import HEADER, localisation
from tests.report.conftest import build_study

GOOD = {
    "iou": 0.6,
    "iou_full": 0.25,
    "iou_center": 0.36,
    "iou_border": 0.48,
    "iou_random_init": 0.46,
    "box_area_p10": 0.1,
    "box_area_p50": 0.3,
    "box_area_p90": 0.5,
}


def logged(variant: str, seed: int, epoch: int, **changes: float) -> pd.DataFrame:
    numbers = {**GOOD, **changes}
    rows = [(variant, seed, epoch, f"crop.{name}", value) for name, value in numbers.items()]
    return pd.DataFrame(rows, columns=["variant", "seed", "epoch", "name", "value"])


STUDY, TRIALS = build_study({"plain": [30.0, 31.0], "boxes": [32.0, 33.0]})


def test_a_row_is_the_mean_over_seeds_of_the_last_refresh() -> None:
    frames = [
        logged("boxes", 0, 8, iou=0.5),
        logged("boxes", 0, 4, iou=0.1),
        logged("boxes", 1, 8, iou=0.7),
    ]
    found = localisation(pd.concat(frames), STUDY)
    assert found is not None
    assert found.lines == (
        ("boxes", *(["0.600", "0.250", "0.360", "0.480", "0.460", "0.100", "0.300", "0.500"])),
    )
    assert len(found.lines[0]) == len(HEADER)
    assert found.full.to_dict("records") == [pytest.approx({"variant": "boxes", **GOOD})]
    assert found.notes == ()


@pytest.mark.parametrize(("area", "warned"), [(0.9, False), (0.901, True)])
def test_boxes_that_cover_the_image_are_warned_of(area: float, warned: bool) -> None:
    found = localisation(logged("boxes", 0, 8, box_area_p50=area), STUDY)
    assert found is not None
    assert ["cover the image" in note for note in found.notes] == [True] * warned


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        ("iou_full", "the full image"),
        ("iou_center", "a centred box"),
        ("iou_border", "distance from the border's colour"),
        ("iou_random_init", "a random-init encoder"),
    ],
)
def test_boxes_that_beat_not_every_baseline_are_told_of_the_best(baseline: str, words: str) -> None:
    found = localisation(logged("boxes", 0, 8, **{baseline: 0.61}), STUDY)
    assert found is not None
    assert len(found.notes) == 1
    assert f"no better (IoU 0.600) than {words} (0.610)" in found.notes[0]


def test_without_known_boxes_areas_are_still_told() -> None:
    areas = logged("boxes", 0, 8)
    found = localisation(areas[areas["name"].str.startswith("crop.box_area")], STUDY)
    assert found is not None
    assert found.lines[0][1:6] == ("\u2013",) * 5
    assert found.lines[0][6:] == ("0.100", "0.300", "0.500")
    assert found.notes == ()


def test_a_study_that_looks_for_no_boxes_has_no_such_table() -> None:
    losses = logged("plain", 0, 1).assign(name="reconstruction")
    assert localisation(losses, STUDY) is None
    assert localisation(None, STUDY) is None


def test_the_page_shows_the_numbers_beside_all_baselines_with_the_warning(tmp_path: Path) -> None:
    curves = logged("boxes", 0, 8, iou=0.2, box_area_p50=0.95)
    files = write_report(STUDY, TRIALS, None, tmp_path, artifacts=ReportExtras(curves=curves))
    page = (tmp_path / "index.html").read_text()
    assert all(title in page for title in HEADER)
    assert all(number in page for number in ("0.200", "0.250", "0.360", "0.480", "0.460", "0.950"))
    assert "cover the image" in page
    assert sum("cover the image" in note for note in files.notes) == 1
    assert pd.read_csv(tmp_path / "localisation.csv")["iou"].tolist() == [0.2]


def test_variants_whose_boxes_are_alike_share_a_note() -> None:
    both = pd.concat([logged(variant, 0, 8, box_area_p50=1.0) for variant in ("boxes", "plain")])
    found = localisation(both, STUDY)
    assert found is not None
    assert [note for note in found.notes if "cover the image" in note] == [
        "the boxes of \u2018plain\u2019 and \u2018boxes\u2019 cover the image (median area 1.00 of it): "
        "they localise nothing, and their crops are all but random ones"
    ]
