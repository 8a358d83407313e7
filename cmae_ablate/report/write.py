"""Make a study's report: every file that the Contract lists, from one set of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cmae_ablate.errors import UserError
from cmae_ablate.report.answer import answer
from cmae_ablate.report.cells import Cells, sort_out
from cmae_ablate.report.curves import curves
from cmae_ablate.report.effects import Comparison, compare
from cmae_ablate.report.effects_table import contrasts_table, effects_table
from cmae_ablate.report.factor_figures import interactions, main_effects
from cmae_ablate.report.factorial import Factorial, analyse
from cmae_ablate.report.forest import forest
from cmae_ablate.report.frame import ReportExtras, ReportFiles, StudyDescription
from cmae_ablate.report.gallery import Gallery, gallery_figure, gather
from cmae_ablate.report.latex import latex
from cmae_ablate.report.localisation import Localisation, localisation
from cmae_ablate.report.markup import picture
from cmae_ablate.report.page import PageContent, render
from cmae_ablate.report.pareto import pareto
from cmae_ablate.report.table_picture import table_picture
from cmae_ablate.report.tables import Table, make_table, markdown
from cmae_ablate.report.theme import FigureJob, draw, save
from cmae_ablate.report.untaught import untaught

INPUTS = ("trials.csv", "controls.csv")
"""Written by the caller, if at all; the page links to them."""


def write_report(
    description: StudyDescription,
    trials: pd.DataFrame,
    controls: pd.DataFrame | None,
    out: Path,
    *,
    artefacts: ReportExtras | None = None,
) -> ReportFiles:
    """Write tables, figures and the page of one study.

    Args:
        description: What the study asked and planned.
        trials: One row a cell, as in `trials.csv`.
        controls: One row a control, as in `controls.csv`; shown below the table, compared with nothing.
        out: The folder to write into; made where it is missing, files of the same name are replaced.
        artefacts: What a finished run can add; a report from a CSV alone has none.

    Returns:
        The paths, the one-sentence answer, the rounded table and the notes.

    Raises:
        UserError: `trials` cannot be a table of cells, or `out` cannot be written.
    """
    extras = artefacts or ReportExtras()
    found = _analyse(description, trials, controls, extras)
    table = make_table(found.comparison, found.further, found.cells, controls)
    sentence = answer(found.comparison, found.cells)
    try:
        paths = _write(found, table, sentence, extras, out)
    except OSError as error:
        place = error.filename or out
        raise UserError(f"{place}: cannot be written ({error.strerror}); choose another --out") from error
    return ReportFiles({p.name: p for p in paths}, sentence, (table.header, *table.lines), found.notes)


@dataclass(frozen=True)
class _Findings:
    """Everything computed before anything is written."""

    cells: Cells
    comparison: Comparison
    further: tuple[Comparison, ...]
    factorial: Factorial | None
    localised: Localisation | None
    galleries: tuple[Gallery, ...]
    notes: tuple[str, ...]


def _analyse(
    description: StudyDescription, trials: pd.DataFrame, controls: pd.DataFrame | None, extras: ReportExtras
) -> _Findings:
    cells = sort_out(trials, description)
    beside = [metric for metric in description.report if metric != description.metric]
    known = [metric for metric in beside if metric in cells.rows.columns]
    galleries = (
        gather("Reconstructions", extras.reconstructions, description.variants),
        gather("Crop boxes", extras.crop_boxes, description.variants),
    )
    localised = localisation(extras.curves, description)
    comparison = compare(cells, description.metric, extras.correct, clusters=extras.clusters)
    notes = (
        *cells.notes,
        *untaught(comparison, controls),
        *(f"'{variant}', seed {seed}: {told}" for (variant, seed), told in extras.warnings.items()),
        *(localised.notes if localised else ()),
        *(note for gallery in galleries for note in gallery.notes),
        *(f"no column '{metric}' in the trials; not shown" for metric in beside if metric not in known),
    )
    return _Findings(
        cells=cells,
        comparison=comparison,
        further=tuple(compare(cells, metric, thorough=False) for metric in known),
        factorial=analyse(cells),
        localised=localised,
        galleries=galleries,
        notes=notes,
    )


def _write(found: _Findings, table: Table, sentence: str, extras: ReportExtras, out: Path) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    study = found.comparison.description
    drawn = [(job, draw(job, out)) for job in _figures(found, extras)]
    paths = [
        *_frames(out, table.full, found),
        _text(out / "table.md", markdown(table)),
        _text(out / "table.tex", latex(table, study.name)),
        *save(table_picture(table), out),
        *(path for _, files in drawn for path in files.paths),
        *(path for gallery in found.galleries if (job := gallery_figure(gallery)) for path in save(job, out)),
    ]
    page = PageContent(
        study=study,
        answer=sentence,
        table=table,
        comparison=found.comparison,
        cells=found.cells,
        notes=found.notes,
        figures=tuple(picture(job, files.light, files.dark) for job, files in drawn),
        galleries=found.galleries,
        factorial=found.factorial,
        localised=found.localised,
        extras=extras,
        files=(*(name for name in INPUTS if (out / name).is_file()), *(path.name for path in paths)),
    )
    return [*paths, _text(out / "index.html", render(page))]


def _figures(found: _Findings, extras: ReportExtras) -> tuple[FigureJob, ...]:
    study, metric = found.comparison.description, found.comparison.metric
    jobs: list[FigureJob | None] = [forest(found.comparison), pareto(found.comparison, found.cells)]
    if found.factorial is not None:
        jobs += [main_effects(found.factorial, study, metric), interactions(found.factorial, study, metric)]
    jobs.append(curves(extras.curves, study))
    return tuple(job for job in jobs if job is not None)


def _frames(out: Path, full: pd.DataFrame, found: _Findings) -> Iterable[Path]:
    frames = {"table.csv": full, "effects.csv": effects_table(found.comparison)}
    if found.comparison.description.contrasts:
        frames["contrasts.csv"] = contrasts_table(found.comparison)
    if found.factorial is not None and len(found.factorial.anova):
        frames["factorial.csv"] = found.factorial.anova
    if found.localised is not None:
        frames["localisation.csv"] = found.localised.full
    for name, frame in frames.items():
        frame.to_csv(out / name, index=False)
        yield out / name


def _text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
