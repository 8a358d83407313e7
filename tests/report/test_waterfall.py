"""The waterfall figure: bars that begin where the last one ended, and its words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report.attribution import along_path, over_orders
from cmae_ablate.report.theme import DARK, LIGHT
from cmae_ablate.report.waterfall import waterfall
from cmae_ablate.report.wording import Metric
from cmae_ablate.report.write import write_report
from tests.report.conftest import METRIC
from tests.report.test_attribution import PATH, cells_of, label, random_grid


def test_each_bar_begins_where_the_last_one_ended() -> None:
    found = along_path(cells_of(PATH, path=tuple(map(label, PATH))))
    assert found is not None
    job = waterfall(found, Metric.named(METRIC))
    for theme in (LIGHT, DARK):
        (axes,) = job.draw(theme).axes
        ends = [end for bar in axes.patches for end in (bar.get_x(), bar.get_x() + bar.get_width())]
        assert ends == pytest.approx([31.0, 32.1667, 32.1667, 29.8333, 29.8333, 35.5], abs=1e-4)
        names = [text.get_text() for text in axes.get_yticklabels()]
        assert names == ["a0 + b0 + c0", "+ a1", "+ b1", "+ c1", "a1 + b1 + c1"]
        written = [text.get_text() for text in axes.texts]
        assert written[0] == "31.00"
        assert written[-1] == "35.50"
        assert written[1].startswith("+1.17\n[")
    assert job.name == "path"
    assert "a1 +1.17" in job.alt
    assert "order" in job.legend


def test_a_step_alike_in_every_seed_has_no_interval_and_no_p() -> None:
    values = {(0, 0): [30.0, 31.0, 32.5], (1, 0): [32.0, 33.0, 34.5], (1, 1): [33.0, 33.5, 36.0]}
    found = along_path(cells_of(values, path=tuple(map(label, values))))
    assert found is not None
    job = waterfall(found, Metric.named(METRIC))
    written = [text.get_text() for text in job.draw(LIGHT).axes[0].texts]
    assert written[1] == "+2.00\n(alike in every seed)"
    assert written[2].startswith("+1.00\n[")
    assert "a1 +2.00 (alike in every seed)" in job.alt
    assert found.table["p"].isna().tolist() == [True, False, False]


def test_shapley_values_are_drawn_as_a_path_is_and_depend_on_no_order() -> None:
    found = over_orders(cells_of(random_grid(3, 4)))
    assert found is not None
    job = waterfall(found, Metric.named(METRIC))
    (axes,) = job.draw(LIGHT).axes
    assert axes.patches[-1].get_x() + axes.patches[-1].get_width() == pytest.approx(
        found.start + found.whole.delta
    )
    assert job.name == "shapley"
    assert "order may" not in job.legend


def test_a_report_of_a_path_has_its_table_and_its_figure(tmp_path: Path) -> None:
    cells = cells_of(PATH, path=tuple(map(label, PATH)))
    written = write_report(cells.description, cells.rows, None, tmp_path)
    assert {"path.csv", "path.png", "path.pdf"} <= set(written.paths)
    assert "shapley.csv" not in written.paths
    assert list(pd.read_csv(tmp_path / "path.csv")["level"].fillna("")) == ["a1", "b1", "c1", ""]
    assert "one factor after the other" in (tmp_path / "index.html").read_text()


def test_one_seed_has_bars_without_intervals() -> None:
    found = over_orders(cells_of(random_grid(2, 1)))
    assert found is not None
    (axes,) = waterfall(found, Metric.named(METRIC)).draw(LIGHT).axes
    assert "[" not in "".join(text.get_text() for text in axes.texts)


def test_the_legend_says_over_how_many_seeds() -> None:
    every = cells_of(PATH, path=tuple(map(label, PATH)))
    found = along_path(every)
    assert found is not None
    legend = waterfall(found, Metric.named(METRIC)).legend
    assert f"over the {found.whole.n} seeds in which every variant of the figure is complete" in legend
    assert "Thin lines" in legend
    alone = waterfall(replace(found, whole=replace(found.whole, n=1)), Metric.named(METRIC)).legend
    assert "over the 1 seed in" in alone
    assert "Thin lines" not in alone
