"""Make a study's report: every file that the Contract lists, from one set of numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cmae_ablate.errors import writing
from cmae_ablate.files import staged
from cmae_ablate.report.answer_record import record
from cmae_ablate.report.caption import mark_words
from cmae_ablate.report.controls import control_table
from cmae_ablate.report.curves import curves
from cmae_ablate.report.effects_table import contrasts_table, effects_table
from cmae_ablate.report.factor_figures import interactions, main_effects
from cmae_ablate.report.findings import Findings, find
from cmae_ablate.report.forest import forest
from cmae_ablate.report.frame import ReportExtras, ReportFiles, StudyDescription
from cmae_ablate.report.gallery import gallery_figure
from cmae_ablate.report.latex import latex
from cmae_ablate.report.left_over import left_over
from cmae_ablate.report.markdown import markdown
from cmae_ablate.report.markup import picture
from cmae_ablate.report.page import PageContent, render
from cmae_ablate.report.pareto import pareto
from cmae_ablate.report.progress_figure import progress_figure
from cmae_ablate.report.short_labels import ShortLabels
from cmae_ablate.report.table_picture import table_picture
from cmae_ablate.report.tables import Table, make_table
from cmae_ablate.report.theme import FigureJob, draw, save
from cmae_ablate.report.waterfall import waterfall

INPUTS = ("trials.csv", "controls.csv", "analysis_plan.json")
"""Written by the caller, if at all; the page links to them."""


def write_report(
    description: StudyDescription,
    trials: pd.DataFrame,
    controls: pd.DataFrame | None,
    out: Path,
    *,
    artifacts: ReportExtras | None = None,
) -> ReportFiles:
    """Write tables, figures and the page of one study.

    Args:
        description: What the study asked and planned.
        trials: One row a cell, as in `trials.csv`.
        controls: One row a control, as in `controls.csv`; shown below the table, compared with nothing.
        out: The folder to write into; made where it is missing, files of the same name are replaced.
        artifacts: What a finished run can add; a report from a CSV alone has none.

    Returns:
        The paths, the answer, the rounded table and the notes.

    Raises:
        UserError: `trials` cannot be a table of cells, or `out` cannot be written.
        NoRoomError: Its disk is full.
    """
    extras = artifacts or ReportExtras()
    found = find(description, trials, controls, extras)
    table = make_table(found.comparison, found.further, found.cells, controls, found.worth)
    with writing(out, "choose another --out"), staged(out) as aside:
        paths, notes = _write(found, table, extras, aside, out)
    return ReportFiles(
        {path.name: out / path.name for path in paths},
        found.answer.text,
        (table.header, *table.lines),
        notes,
        ShortLabels.of(description).legend_title or "",
        "; ".join(filter(None, (mark_words(found.comparison.contrasts), table.cost_marks))),
    )


def _write(
    found: Findings, table: Table, extras: ReportExtras, out: Path, place: Path
) -> tuple[list[Path], tuple[str, ...]]:
    """Every file into `out`, as it will lie in `place`, and the notes that stand on the page."""
    study = found.comparison.description
    drawn = [(job, draw(job, out)) for job in _figures(found, extras)]
    data = record(found.answer.text, found.answer.judged, found.sensitivity, found.comparison)
    content = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    paths = [
        *_frames(out, table.full, found),
        _text(out / "answer.json", f"{content}\n"),
        _text(out / "table.md", markdown(table)),
        _text(out / "table.tex", latex(table, study.name)),
        *save(table_picture(table), out),
        *(path for _, files in drawn for path in files.paths),
        *(path for gallery in found.galleries if (job := gallery_figure(gallery)) for path in save(job, out)),
    ]
    notes = (*found.notes, *left_over(place, {path.name for path in paths}))
    page = PageContent(
        study=study,
        answer=found.answer,
        table=table,
        comparison=found.comparison,
        cells=found.cells,
        notes=notes,
        figures=tuple(picture(job, files.light, files.dark) for job, files in drawn),
        galleries=found.galleries,
        factorial=found.factorial,
        localised=found.localised,
        importance=found.importance,
        extras=extras,
        files=(*(name for name in INPUTS if (place / name).is_file()), *(path.name for path in paths)),
    )
    return [*paths, _text(out / "index.html", render(page))], notes


def _figures(found: Findings, extras: ReportExtras) -> tuple[FigureJob, ...]:
    study, metric = found.comparison.description, found.comparison.metric
    jobs: list[FigureJob | None] = [forest(found.comparison), pareto(found.comparison, found.cells)]
    if found.factorial is not None:
        jobs += [main_effects(found.factorial, study, metric), interactions(found.factorial, study, metric)]
    jobs += [waterfall(each, metric) for each in found.attributions]
    jobs += [progress_figure(found.progress, study), curves(extras.curves, study)]
    return tuple(job for job in jobs if job is not None)


def _frames(out: Path, full: pd.DataFrame, found: Findings) -> Iterable[Path]:
    frames = {"table.csv": full, "effects.csv": effects_table(found.comparison)}
    frames["control_effects.csv"] = control_table(found.controls)
    if found.comparison.others or found.comparison.description.contrasts:
        frames["contrasts.csv"] = contrasts_table(found.comparison)
    if found.factorial is not None and len(found.factorial.anova):
        frames["factorial.csv"] = found.factorial.table
    frames |= {f"{each.kind}.csv": each.table for each in found.attributions}
    if found.progress is not None:
        frames |= {"progress.csv": found.progress.cells, "progress_effects.csv": found.progress.table}
    if found.localised is not None:
        frames["localisation.csv"] = found.localised.full
    if found.importance is not None and len(found.importance.table):
        frames["importance.csv"] = found.importance.table
    for name, frame in frames.items():
        frame.to_csv(out / name, index=False)
        yield out / name


def _text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
