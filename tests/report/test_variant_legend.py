"""The legend that figures with a colour a variant share."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.curves import curves
from cmae_ablate.report.effects import compare
from cmae_ablate.report.pareto import pareto
from cmae_ablate.report.progress import progress
from cmae_ablate.report.progress_figure import progress_figure
from cmae_ablate.report.theme import LIGHT, styled
from cmae_ablate.report.variant_legend import VariantLegend


def test_a_variant_has_one_colour_in_every_figure_also_where_another_is_missing(build: Callable) -> None:
    described, trials = build({label: [30.0, 31.0, 32.5] for label in ("MAE", "a", "b")})
    trials = trials[trials["variant"] != "a"]
    logged = pd.DataFrame(
        [
            (v, s, e, m, 30.0 + e + s)
            for v in ("MAE", "b")
            for s in (0, 1)
            for e in (1, 2)
            for m in ("a.validation_top1",)
        ],
        columns=["variant", "seed", "epoch", "metric", "value"],
    )
    cells = sort_out(trials, described)
    made = (
        pareto(compare(cells, described.metric), cells),
        curves(logged.rename(columns={"metric": "name"}), described),
        progress_figure(progress(logged, described), described),
    )
    for job in made:
        assert job is not None
        with styled(LIGHT):
            figure = job.draw(LIGHT)
            FigureCanvasAgg(figure).draw()
        _, last = figure.legends[0].get_lines()
        marks = (last.get_markeredgecolor(), last.get_color())
        assert LIGHT.colour(2) in marks, job.name
        assert any(line.get_color() == LIGHT.colour(2) for line in figure.axes[0].lines), job.name


def test_short_labels_stand_side_by_side_and_a_long_one_below_another_on_more_room(build: Callable) -> None:
    short, _ = build({label: [30.0, 31.0] for label in ("MAE", "a", "b")})
    long, _ = build({label: [30.0, 31.0] for label in ("MAE", "a", "what is changed here, " * 3)})
    abreast, below = (VariantLegend.of(study.variants, study, short=12, abreast=3) for study in (short, long))
    assert (abreast.columns, below.columns) == (3, 1)
    assert list(below.labels) == [0, 1, 2]
    assert below.inches > abreast.inches
