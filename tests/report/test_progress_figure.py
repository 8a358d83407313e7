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
