"""Progress as a figure: a band for each variant above, paired differences below."""

from __future__ import annotations

import pandas as pd

from cmae_ablate.report.progress import progress
from cmae_ablate.report.progress_figure import progress_figure
from cmae_ablate.report.theme import DARK, LIGHT
from tests.report.conftest import build_study

STUDY = build_study({"MAE": [30.0, 31.0, 32.0], "CMAE": [33.0, 34.0, 36.0]})[0]


def measured(*epochs: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"variant": variant, "seed": seed, "epoch": epoch, "metric": "a.validation_top1", "value": value}
            for epoch in epochs
            for variant, gain in (("MAE", 0.0), ("CMAE", 3.0))
            for seed, value in enumerate(
                (20 + epoch + gain, 21 + epoch + 1.1 * gain, 19.5 + epoch + 0.9 * gain)
            )
        ]
    )


def test_levels_stand_above_and_differences_below_with_a_line_and_a_band_each() -> None:
    job = progress_figure(progress(measured(2, 4, 8), STUDY), STUDY)
    assert job is not None
    for theme in (LIGHT, DARK):
        top, below = job.draw(theme).axes
        assert [list(line.get_xdata()) for line in top.get_lines()] == [[2, 4, 8], [2, 4, 8]]
        assert len(top.collections) == 2
        zero, difference = below.get_lines()
        assert list(zero.get_ydata()) == [0, 0]
        assert [round(float(y), 9) for y in difference.get_ydata()] == [3.0, 3.0, 3.0]
        assert difference.get_color() == top.get_lines()[1].get_color()
    assert "paired differences" in job.alt


def test_one_epoch_is_a_point_and_no_curve() -> None:
    assert progress_figure(progress(measured(2), STUDY), STUDY) is None
    assert progress_figure(None, STUDY) is None


def test_differences_of_one_variant_from_several_stand_in_panels_of_their_own() -> None:
    values = {"MAE": [30.0, 31.0, 32.0], "two views": [30.5, 31.0, 32.2], "CMAE": [33.0, 34.0, 36.0]}
    study = build_study(values, contrasts=(("CMAE", "MAE"), ("CMAE", "two views")))[0]
    more = measured(2, 4).query("variant == 'MAE'").assign(variant="two views")
    job = progress_figure(progress(pd.concat([measured(2, 4), more]), study), study)
    assert job is not None
    _, *below = job.draw(LIGHT).axes
    assert [axes.get_title(loc="left") for axes in below] == ["from MAE", "from two views"]
    for axes in below:  # beside the line at zero
        looks = [(line.get_color(), str(line.get_linestyle())) for line in axes.get_lines()[1:]]
        assert len(looks) == len(set(looks)) == 1
        assert axes.get_ylabel() == "difference (points)"


def test_the_caption_says_what_lines_and_bands_are() -> None:
    job = progress_figure(progress(measured(2, 4), STUDY), STUDY)
    assert job is not None
    assert job.legend == (
        "Lines: means over seeds. Bands: 95 % t intervals, each of one epoch by itself. "
        "Below, paired differences from the variants in bold."
    )
    single = progress_figure(progress(measured(2, 4).query("seed == 0"), STUDY), STUDY)
    assert single is not None
    assert "Bands" not in single.legend
