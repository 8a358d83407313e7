"""Figures under awkward input: nothing cut off, nothing on top of each other, no global state."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.curves import curves
from cmae_ablate.report.effects import compare
from cmae_ablate.report.factor_figures import interactions, main_effects
from cmae_ablate.report.factorial import analyse
from cmae_ablate.report.forest import forest
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.pareto import pareto
from cmae_ablate.report.table_picture import table_picture
from cmae_ablate.report.tables import Table, make_table
from cmae_ablate.report.theme import (
    DARK,
    LIGHT,
    FigureJob,
    as_svg,
    draw,
    on_dark,
    save,
    styled,
    wrapped,
)
from cmae_ablate.report.wording import Metric
from tests.report.conftest import build_study

LONG = "contrastive moco_v3, temperature 0.2 + position absolute cross-entropy + crop contrastive $x_1$"
CASES = {
    "plain": (5, 3, False),
    "long labels": (12, 5, True),
    "two seeds": (3, 2, False),
    "one variant": (1, 3, False),
    "one seed": (2, 1, False),
    "no cells": (2, 0, False),
}


def study(case: str) -> tuple[StudyDescription, pd.DataFrame]:
    variants, seeds, long = CASES[case]
    rng = np.random.default_rng(4)
    base = rng.normal(34, 2, max(seeds, 1))
    values = {
        (f"{LONG} {index}" if long else f"depth {index}"): list(base + index + rng.normal(0, 1, len(base)))
        for index in range(variants)
    }
    described, trials = build_study(values)
    if long:  # one variant with a huge interval, one with a single seed
        trials = trials.drop(trials.index[(trials["variant"] == f"{LONG} 3") & (trials["seed"] > 1)])
        trials = trials.drop(trials.index[(trials["variant"] == f"{LONG} 5") & (trials["seed"] > 0)])
    return described, trials if seeds else trials.iloc[:0]


def jobs(described: StudyDescription, trials: pd.DataFrame) -> list[FigureJob]:
    cells = sort_out(trials, described)
    comparison = compare(cells, described.metric)
    logged = pd.DataFrame(
        [
            (v, s, e, "reconstruction", 1 / (e + 1))
            for v in described.variants
            for s in (0, 1)
            for e in range(4)
        ],
        columns=["variant", "seed", "epoch", "name", "value"],
    )
    made = [
        forest(comparison),
        pareto(comparison, cells),
        curves(logged, described),
        table_picture(make_table(comparison, (), cells, None)),
    ]
    return [job for job in made if job is not None]


def drawn(job: FigureJob) -> Figure:
    with styled(LIGHT):
        figure = job.draw(LIGHT)
        FigureCanvasAgg(figure).draw()
    return figure


Written = list[tuple[str, Figure, list[Text]]]


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def written(request: pytest.FixtureRequest) -> Written:
    """Every figure of a case with the texts that were really put on it (ticks out of view are not)."""
    put: list[Text] = []
    original = Text.draw

    def recorded(self: Text, *args: Any, **kwargs: Any) -> None:
        put.append(self)
        original(self, *args, **kwargs)

    figures = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", recorded)
        for job in jobs(*study(request.param)):
            put.clear()
            figure = drawn(job)
            figures.append(
                (
                    job.name,
                    figure,
                    [t for t in dict.fromkeys(put) if t.get_visible() and t.get_text().strip()],
                )
            )
    return figures


def test_no_text_is_cut_off(written: Written) -> None:
    for name, figure, texts in written:
        assert texts
        for text in texts:
            box = text.get_window_extent()
            inside = (
                box.x0 >= -1
                and box.y0 >= -1
                and box.x1 <= figure.bbox.x1 + 1
                and box.y1 <= figure.bbox.y1 + 1
            )
            assert inside, (name, text.get_text())


def test_no_two_texts_overlap(written: Written) -> None:
    for name, _, texts in written:
        boxes = [(text.get_text(), text.get_window_extent().shrunk(0.94, 0.8)) for text in texts]
        for (one, first), (other, second) in itertools.combinations(boxes, 2):
            assert not first.overlaps(second), (name, one, other)


def test_costs_that_hardly_differ_have_numbers_that_stand_apart(build: Callable, noisy: Callable) -> None:
    described, trials = build(noisy(4, 3))
    trials = trials.drop(columns=["flops.pretrain_image", "seconds.pretrain", "params.decoder"])
    trials["memory.pretrain"] = 1e9 + 1e6 * np.arange(len(trials))
    cells = sort_out(trials, described)
    job = pareto(compare(cells, described.metric), cells)
    assert job is not None
    figure = drawn(job)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    for axes in figure.axes:
        boxes = [label.get_window_extent(renderer) for label in axes.get_xticklabels() if label.get_text()]
        inside = sorted((b for b in boxes if b.x0 > 0), key=lambda box: box.x0)
        assert all(left.x1 + 4 < right.x0 for left, right in itertools.pairwise(inside))


def test_one_epoch_is_no_curve(build: Callable, noisy: Callable) -> None:
    described, _ = build(noisy(2, 2))
    rows = [(variant, 0, 1, "reconstruction", 0.5) for variant in described.variants]
    logged = pd.DataFrame(rows, columns=["variant", "seed", "epoch", "name", "value"])
    assert curves(logged, described) is None


def test_every_seed_is_a_point_of_the_forest_plot(build: Callable, noisy: Callable) -> None:
    described, trials = build(noisy(3, 5))
    comparison = compare(sort_out(trials, described), described.metric)
    axes = drawn(forest(comparison)).axes[0]
    points = [line for line in axes.lines if line.get_marker() == "o"]
    for line, effect in zip(points, comparison.contrasts, strict=True):
        assert list(line.get_xdata()) == list(effect.differences)


def test_the_caption_explains_the_marks_that_are_drawn_and_no_others(build: Callable) -> None:
    usual = {"MAE": [34.0, 35.0, 36.0], "a": [34.5, 35.4, 36.6], "b": [34.2, 35.3, 36.1]}
    wild = {**usual, "wild": {0: 34.4, 1: 38.0}}

    def legend(values: dict[str, Any], **changes: Any) -> str:
        described, trials = build(values, **changes)
        return forest(compare(sort_out(trials, described), described.metric)).legend

    assert "Arrows" not in legend(usual)
    assert "Arrows: the interval goes on." in legend(wild)
    assert "\u2020" not in legend(usual)
    assert "\u2020 exploratory" in legend(usual, contrasts=(("a", "MAE"),))
    assert "added later" not in legend(usual)
    assert "* includes seeds added later." in legend(usual, seeds=2)


def test_an_interval_that_includes_seeds_added_later_is_marked_as_in_the_table(build: Callable) -> None:
    described, trials = build(
        {"MAE": [34.0, 35.0, 36.0], "a": [34.5, 35.4, 36.6], "b": [34.2, 35.3]}, seeds=2
    )
    axes = drawn(forest(compare(sort_out(trials, described), described.metric))).axes[0]
    numbers = {"n = 3" in text.get_text(): text.get_text() for text in axes.texts}
    assert numbers[True].endswith("]*")
    assert numbers[False].endswith("]")


def test_captions_name_nothing_that_is_not_drawn(build: Callable) -> None:
    def figures(values: dict[str, Any]) -> tuple[FigureJob, FigureJob | None]:
        described, trials = build(values)
        cells = sort_out(trials, described)
        comparison = compare(cells, described.metric)
        return forest(comparison), pareto(comparison, cells)

    single, front = figures({"MAE": [34.0], "CMAE": [35.0]})
    assert single.legend == "Circles: single seeds."
    assert drawn(single).axes[0].get_xlabel() == "linear probe top-1 (points)"
    assert front is not None
    assert front.legend.startswith("Means. The line joins ")
    paired, beaten = figures({"MAE": [34.0, 35.0, 36.0], "CMAE": [33.0, 34.1, 35.2]})
    assert paired.legend.startswith("Diamonds: ")
    assert drawn(paired).axes[0].get_xlabel() == "linear probe top-1 (points, 95 % t interval)"
    assert beaten is not None
    assert "line" not in beaten.legend  # CMAE costs more and reads less, so MAE alone is not beaten
    assert figures({"MAE": [34.0, 35.0]})[0].legend == ""


@pytest.mark.parametrize(
    ("below", "above"), [(16.9, 7.2), (1.55, 3.25), (30.0, 15.0), (0.3, 11.0), (170, 72)]
)
def test_an_axis_has_at_least_three_numbers(below: float, above: float, build: Callable) -> None:
    mae = [234.0, 235.0, 236.0]
    noisy = {"low": [v - below for v in mae], "high": [v + above for v in mae]}
    noisy["high"][0] += 0.01
    described, trials = build({"MAE": mae, **noisy})
    axes = drawn(forest(compare(sort_out(trials, described), described.metric))).axes[0]
    low, high = axes.get_xlim()
    assert 3 <= sum(low <= tick <= high for tick in axes.get_xticks()) <= 7


def test_captions_of_curves_say_what_lines_and_bands_are_and_what_is_not_shown(build: Callable) -> None:
    described, _ = build({"MAE": [34.0, 35.0], "CMAE": [34.5, 36.0]})
    rows = [
        (variant, seed, epoch, f"loss {name}", 1.0 / (epoch + seed + 1))
        for variant, seed, epoch, name in itertools.product(described.variants, (0, 1), (0, 1), range(8))
    ]
    logged = pd.DataFrame(rows, columns=["variant", "seed", "epoch", "name", "value"])
    job = curves(logged, described)
    assert job is not None
    assert job.legend == (
        "Lines: means over seeds. Bands: one standard deviation. 2 further values logged, not shown."
    )
    single = curves(logged[(logged["seed"] == 0) & (logged["name"] == "loss 1")], described)
    assert single is not None
    assert single.legend == "Lines: means over seeds."


def test_an_outlandish_interval_does_not_squeeze_the_others(build: Callable) -> None:
    described, trials = build(
        {
            "MAE": [34.0, 35.0, 36.0],
            "a": [34.5, 35.4, 36.6],
            "b": [34.2, 35.3, 36.1],
            "wild": {0: 34.4, 1: 38.0},
        }
    )
    axes = drawn(forest(compare(sort_out(trials, described), described.metric))).axes[0]
    assert np.ptp(axes.get_xlim()) < 30


def test_grid_figures_are_complete(build: Callable) -> None:
    rng = np.random.default_rng(1)
    factors = {"crop": ("random_resized", "contrastive"), "objective": ("none", "moco_v3", "simclr")}
    levels = {" + ".join(c): dict(zip(factors, c, strict=True)) for c in itertools.product(*factors.values())}
    described, trials = build(
        {label: list(rng.normal(34, 1, 3)) for label in levels}, factors=factors, levels=levels
    )
    result = analyse(sort_out(trials, described))
    assert result is not None
    metric = Metric.named(described.metric)
    assert "Grey lines: single seeds" in main_effects(result, described, metric).legend
    assert interactions(result, described, metric).legend.startswith("Means over seeds; ")
    assert len(drawn(main_effects(result, described, metric)).axes) == 2
    lines = drawn(interactions(result, described, metric)).axes[0].lines
    means = trials.assign(crop=trials["variant"].map(lambda v: levels[v]["crop"]))
    none = means[means["variant"].isin(["random_resized + none", "contrastive + none"])]
    expected = none.groupby("crop", sort=False)["linear_probe.top1"].mean()
    assert list(lines[0].get_ydata()) == pytest.approx(expected.loc[list(factors["crop"])].tolist())


def test_files_hold_vectors_and_truetype_fonts_and_settings_stay(
    tmp_path: Path, build: Callable, noisy: Callable
) -> None:
    before = dict(mpl.rcParams)
    png, pdf = save(jobs(*build(noisy(3, 3)))[0], tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert b"/Subtype /Type3" not in pdf.read_bytes()
    assert b"/FontFile2" in pdf.read_bytes()
    assert dict(mpl.rcParams) == before


def test_a_figure_is_laid_out_once_and_drawn_once_a_file(
    tmp_path: Path, build: Callable, noisy: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    by_matplotlib, laid_out = Figure.draw, ConstrainedLayoutEngine.execute

    def noted(figure: Figure, renderer: object) -> None:
        drawn.append("draw")
        by_matplotlib(figure, renderer)

    def found(engine: ConstrainedLayoutEngine, figure: Figure) -> object:
        drawn.append("layout")
        return laid_out(engine, figure)

    monkeypatch.setattr(Figure, "draw", noted)
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", found)
    draw(jobs(*build(noisy(3, 3)))[0], tmp_path)
    assert drawn == ["layout", "draw", "draw", "draw"]  # PNG, PDF, SVG, whose colours are changed for dark


def with_numbered_marks(svg: str) -> str:
    """Matplotlib names a mark by its colour, too: here by the order in which names come."""
    numbers: dict[str, str] = {}
    return re.sub(
        r"\b(?:C\d+_\d+_|[mph])[0-9a-f]{10}\b", lambda m: numbers.setdefault(m[0], f"mark{len(numbers)}"), svg
    )


def test_in_dark_colours_a_figure_is_the_one_that_the_dark_theme_draws(
    build: Callable, noisy: Callable
) -> None:
    # Seven colours and a first one again.
    for job in jobs(*build(noisy(8, 3))):
        light, dark = (with_numbered_marks(as_svg(job, theme)) for theme in (LIGHT, DARK))
        assert with_numbered_marks(on_dark(light)) == dark
        assert light != dark


def test_the_same_numbers_draw_the_same_picture(build: Callable, noisy: Callable) -> None:
    first, second = (as_svg(jobs(*build(noisy(3, 3)))[0], LIGHT) for _ in range(2))
    assert first == second


def test_a_label_in_another_script_does_not_fail(build: Callable) -> None:
    described, trials = build({"\u57fa\u6e96": [34.0, 35.0], "\u5c0f": [35.0, 35.5]})
    assert "<svg" in as_svg(jobs(described, trials)[0], LIGHT)


@pytest.mark.parametrize("width", [8, 22, 58])
def test_wrapped_labels_keep_their_width_and_lines(width: int) -> None:
    lines = wrapped(LONG * 3, width, 3).split("\n")
    assert len(lines) <= 3
    assert max(map(len, lines)) <= width


def test_a_table_shows_a_name_of_four_changes_whole() -> None:
    """As a row of `components` against CMAE has it: the table makes room where a figure's axis cannot."""
    name = "against small decoder + contrastive + position + ContrastiveCrop, with no contrastive"
    table = Table(("variant", "n"), ((name, "3"),), pd.DataFrame(), 0, "A title.", "", ())
    with styled(LIGHT):
        texts = [text.get_text() for text in table_picture(table).draw(LIGHT).texts]
    assert name in [" ".join(text.split()) for text in texts]


def test_seconds_of_several_machines_are_no_axis(build: Callable, noisy: Callable) -> None:
    described, trials = build(noisy(2, 3))
    trials = trials.drop(columns="flops.pretrain_image")

    def axis(trials: pd.DataFrame) -> str:
        cells = sort_out(trials, described)
        job = pareto(compare(cells, described.metric), cells)
        assert job is not None
        return drawn(job).axes[0].get_xlabel()

    assert axis(trials) == "pretraining time (s)"
    assert axis(trials.assign(device=["gpu"] * 3 + ["cpu"] * 3)) == "decoder parameters (M)"
