"""Make a study's report: every file that the Contract lists, from one set of numbers."""

from __future__ import annotations

from collections.abc import Iterable
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
from cmae_ablate.report.latex import latex
from cmae_ablate.report.page import PageContent, render
from cmae_ablate.report.pareto import pareto
from cmae_ablate.report.table_picture import table_picture
from cmae_ablate.report.tables import make_table, markdown
from cmae_ablate.report.theme import FigureJob, save


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
    cells = sort_out(trials, description)
    comparison = compare(cells, description.metric, extras.correct)
    further = [
        compare(cells, m, thorough=False)
        for m in description.report
        if m in cells.rows.columns and m != description.metric
    ]
    absent = [m for m in description.report if m not in cells.rows.columns]
    notes = (*cells.notes, *(f"no column '{m}' in the trials; not shown" for m in absent))
    table = make_table(comparison, further, cells, controls)
    factorial = analyse(cells)
    figures = _figures(comparison, cells, factorial, extras)
    sentence = answer(comparison, cells)
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths = [
            *_frames(out, table.full, comparison, factorial),
            _text(out / "table.md", markdown(table)),
            _text(out / "table.tex", latex(table, description.name)),
            *(path for job in (table_picture(table), *figures) for path in save(job, out)),
        ]
        page = PageContent(
            study=description,
            answer=sentence,
            table=table,
            comparison=comparison,
            cells=cells,
            notes=notes,
            figures=figures,
            factorial=factorial,
            extras=extras,
            files=tuple(path.name for path in paths),
        )
        paths.append(_text(out / "index.html", render(page)))
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    return ReportFiles({path.name: path for path in paths}, sentence, (table.header, *table.lines), notes)


def _figures(
    comparison: Comparison, cells: Cells, factorial: Factorial | None, extras: ReportExtras
) -> tuple[FigureJob, ...]:
    jobs: list[FigureJob | None] = [forest(comparison), pareto(comparison, cells)]
    if factorial is not None:
        study, metric = comparison.description, comparison.metric
        jobs += [main_effects(factorial, study, metric), interactions(factorial, study, metric)]
    jobs.append(curves(extras.curves, comparison.description))
    return tuple(job for job in jobs if job is not None)


def _frames(
    out: Path, full: pd.DataFrame, comparison: Comparison, factorial: Factorial | None
) -> Iterable[Path]:
    frames = {"table.csv": full, "effects.csv": effects_table(comparison)}
    if comparison.description.contrasts:
        frames["contrasts.csv"] = contrasts_table(comparison)
    if factorial is not None and len(factorial.anova):
        frames["factorial.csv"] = factorial.anova
    for name, frame in frames.items():
        frame.to_csv(out / name, index=False)
        yield out / name


def _text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
