"""The page of a study on several data sets, with tables, figure and answer, in the study's own folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cmae_ablate.errors import writing
from cmae_ablate.files import staged
from cmae_ablate.report.across import section
from cmae_ablate.report.answer_record import COMPARED
from cmae_ablate.report.columns import ColumnGroup
from cmae_ablate.report.effects_table import effects_table
from cmae_ablate.report.frame import ReportFiles
from cmae_ablate.report.latex import latex
from cmae_ablate.report.markdown import markdown
from cmae_ablate.report.markup import page_from, picture
from cmae_ablate.report.pooled import OverDataSets, PooledStudy, pooled_study, pooled_table
from cmae_ablate.report.pooled_forest import pooled_forest
from cmae_ablate.report.pooled_values import name, on_data_set, over_data_sets
from cmae_ablate.report.pooled_words import PooledAnswer, pooled_answer, pooled_note
from cmae_ablate.report.shown import shown_in_parts
from cmae_ablate.report.study_part import StudyPart, analyse
from cmae_ablate.report.table_picture import table_picture
from cmae_ablate.report.tables import Table
from cmae_ablate.report.theme import draw, save
from cmae_ablate.report.trials import DATASET
from cmae_ablate.report.wording import BLANK, DAGGER, EXPLORATORY_NOTE, json_number, number, one_line, p_value


def write_pooled(study_name: str, parts: Mapping[str, StudyPart], out: Path) -> ReportFiles:
    """Write the report of a study over its data sets.

    `pooled.csv`, `table.{md,tex,png,pdf}`, `pooled.{png,pdf}`, `answer.json` and `index.html`; `trials.csv`,
    `controls.csv` and `effects.csv` are those of all data sets, one below the other.

    Args:
        study_name: The study's name, without a data set.
        parts: The study on each data set, by the data set's label; two or more.
        out: The folder to write into.

    Raises:
        UserError: Trials are malformed, or `out` cannot be written.
        NoRoomError: Its disk is full.
    """
    study = pooled_study(study_name, [analyse(label, part) for label, part in parts.items()])
    answer, table = pooled_answer(study), _table(study)
    with writing(out, "choose another --out"), staged(out) as aside:
        paths = _write(study, answer, table, aside)
    notes = tuple(f"{part.title}: {note}" for part in study.parts for note in part.notes)
    return ReportFiles(
        {path.name: out / path.name for path in paths},
        answer.text,
        (table.header, *table.lines),
        notes,
        marks=EXPLORATORY_NOTE if any(each.family != "declared" for each in study.contrasts) else "",
    )


def _write(study: PooledStudy, answer: PooledAnswer, table: Table, out: Path) -> list[Path]:
    frames = {
        "pooled.csv": pooled_table(study),
        "effects.csv": _stacked({part.title: effects_table(part.comparison) for part in study.parts}),
        "trials.csv": _stacked({part.title: part.part.trials for part in study.parts}),
        "controls.csv": _stacked({part.title: _controls(part.part.controls) for part in study.parts}),
    }
    for file, frame in frames.items():
        frame.to_csv(out / file, index=False)
    content = json.dumps(_record(study, answer), indent=1, ensure_ascii=False, allow_nan=False)
    texts = {
        "answer.json": f"{content}\n",
        "table.md": markdown(table),
        "table.tex": latex(table, study.name),
    }
    for file, text in texts.items():
        (out / file).write_text(text, encoding="utf-8", newline="\n")
    forest = pooled_forest(study)
    drawn = draw(forest, out)
    paths = [*(out / file for file in (*frames, *texts)), *save(table_picture(table), out), *drawn.paths]
    page = out / "index.html"
    text = page_from(
        "datasets.html",
        question=study.parts[0].part.description.question,
        answer=answer,
        tables=shown_in_parts(table),
        caption=table.caption,
        figure=picture(forest, drawn.light, drawn.dark),
        sections=[
            {"own": section(part), "folder": f"../{part.part.description.name}/index.html"}
            for part in study.parts
        ],
        files=[path.name for path in paths],
    )
    page.write_text(text, encoding="utf-8", newline="\n")
    return [*paths, page]


def _table(study: PooledStudy) -> Table:
    """One row a contrast; its difference on each data set, then pooled, and on a new one."""
    lines = [(_label(each, study), *_cells(each, study)) for each in study.contrasts]
    pooled = (
        "pooled difference [95 % CI]",
        "p (Holm)",
        "new data set [95 % PI]",
        "tau",
        "I\N{SUPERSCRIPT TWO} (%)",
    )
    shown = pooled if study.is_pooled else ()
    header = ("variant", *(f"{label}: difference [95 % CI]" for label in study.datasets), *shown)
    description = study.parts[0].comparison.description
    title = (
        f"{one_line(description.question)} Differences in {study.metric.words} from "
        f"\N{LEFT SINGLE QUOTATION MARK}{one_line(description.reference)}\N{RIGHT SINGLE QUOTATION MARK}, "
        f"unless a row "
        "says otherwise."
    )
    groups = [
        ColumnGroup("", len(study.parts)),
        *([ColumnGroup("over data sets", len(shown))] if shown else []),
    ]
    return Table(header, tuple(lines), pooled_table(study), 0, title, pooled_note(study), tuple(groups))


def _label(each: OverDataSets, study: PooledStudy) -> str:
    return f"{name(each, study)}{'' if each.family == 'declared' else DAGGER}"


def _cells(each: OverDataSets, study: PooledStudy) -> list[str]:
    metric, found = study.metric, each.found
    single = [on_data_set(on, metric) for on in each.each]
    if not study.is_pooled:
        return single
    return [
        *single,
        over_data_sets(found, metric),
        p_value(each.p_holm),
        metric.interval(*found.prediction) or BLANK,
        metric.text(found.tau),
        number(100 * found.i_squared, 0),
    ]


def _record(study: PooledStudy, answer: PooledAnswer) -> Mapping[str, object]:
    """`answer.json`: as a study's on one data set, with what is known of each data set and of a new one."""
    return {
        "question": study.parts[0].part.description.question,
        "metric": study.metric.name,
        "sensitive": study.sensitive,
        "text": answer.text,
        "verdicts": [
            {
                **{name: str(getattr(each, name)) for name in COMPARED},
                "delta": json_number(each.found.mean),
                "ci_low": json_number(each.found.interval[0]),
                "ci_high": json_number(each.found.interval[1]),
                "n": each.found.k,
                "p_holm": json_number(each.p_holm),
                "prediction_low": json_number(each.found.prediction[0]),
                "prediction_high": json_number(each.found.prediction[1]),
                "tau": json_number(each.found.tau),
                "i_squared": json_number(each.found.i_squared),
                "p_heterogeneity": json_number(each.found.p_heterogeneity),
                "by_dataset": {
                    on.dataset: {
                        "delta": json_number(on.paired.delta),
                        "ci_low": json_number(on.paired.ci_low),
                        "ci_high": json_number(on.paired.ci_high),
                        "n": on.paired.n,
                    }
                    for on in each.each
                },
            }
            for each in study.contrasts
        ],
        "datasets": {
            part.title: {
                "study": part.part.description.name,
                "dataset": part.part.dataset,
                "sensitive": part.comparison.sensitive,
                "text": part.answer.text,
            }
            for part in study.parts
        },
        "pooled": study.is_pooled,
    }


def _stacked(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    labelled: Sequence[pd.DataFrame] = [
        frame.assign(**{DATASET: label})[[DATASET, *frame.columns]]
        for label, frame in frames.items()
        if len(frame)
    ]
    return pd.concat(labelled, ignore_index=True) if labelled else pd.DataFrame(columns=[DATASET])


def _controls(controls: pd.DataFrame | None) -> pd.DataFrame:
    return pd.DataFrame() if controls is None else controls
