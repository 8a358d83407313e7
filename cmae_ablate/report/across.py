"""Across studies: MAE against each component and CMAE over data sets, beside the paper's own numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cmae_ablate.errors import UserError, writing
from cmae_ablate.files import staged
from cmae_ablate.report.across_note import shared_place, summary_note
from cmae_ablate.report.answer import Answer
from cmae_ablate.report.caption import mark_words
from cmae_ablate.report.columns import ColumnGroup
from cmae_ablate.report.effects import Effect
from cmae_ablate.report.effects_table import effects_table
from cmae_ablate.report.forest import forest
from cmae_ablate.report.frame import ReportFiles
from cmae_ablate.report.latex import latex
from cmae_ablate.report.markdown import markdown
from cmae_ablate.report.markup import Picture, page_from, picture
from cmae_ablate.report.shown import shown_in_parts
from cmae_ablate.report.study_part import Analysed, StudyPart, analyse
from cmae_ablate.report.table_picture import table_picture
from cmae_ablate.report.tables import Level, Table, difference
from cmae_ablate.report.theme import LIGHT, as_svg, on_dark, save
from cmae_ablate.report.wording import BLANK, number

PAPER: Mapping[str, float] = {"mae": 62.95, "cmae": 65.84}
"""Fine-tuned top-1 of ViT-B on Tiny-ImageNet at 224 by lower-case row: arXiv 2205.10546, its abstract."""
PAPER_HEADER = "the paper: fine-tuned top-1 (%), not measured here"


@dataclass(frozen=True)
class Section:
    """A study as a page over several shows it."""

    title: str
    question: str
    setting: str
    answer: Answer
    picture: Picture
    notes: tuple[str, ...]


def combine(parts: Sequence[StudyPart], out: Path) -> ReportFiles:
    """Write `summary.{csv,md,tex,png,pdf}` and `index.html` over several studies.

    Every study keeps its own reference, pairing and Holm family; nothing is averaged over studies.

    Args:
        parts: The studies, in column order.
        out: The folder to write into.

    Raises:
        UserError: There is no study, two columns would have one name, trials are malformed, or `out` cannot
            be written.
    """
    if not parts:
        raise UserError("report: no study given; name at least one study file")
    titles = _titles(parts)
    for title in titles:
        if titles.count(title) > 1:
            raise UserError(f"report: '{title}' is given twice; rename one study file, or leave one out")
    analysed = [analyse(title, part) for title, part in zip(titles, parts, strict=True)]
    table = summary_table(analysed)
    notes = tuple(f"{item.title}: {note}" for item in analysed for note in item.notes)
    sentence = "\n".join(f"{item.title}: {item.answer.text}" for item in analysed)
    with writing(out, "choose another --out"), staged(out) as aside:
        paths = _write(table, analysed, aside)
    return ReportFiles(
        {path.name: out / path.name for path in paths},
        sentence,
        (table.header, *table.lines),
        notes,
        marks=mark_words([effect for item in analysed for effect in item.comparison.effects]),
    )


def _titles(parts: Sequence[StudyPart]) -> list[str]:
    """The studies' names, with data set and scale where these are not the same for all."""
    if shared_place(parts):
        return [part.description.name for part in parts]
    return [f"{part.place}, {part.description.name}" for part in parts]


def summary_table(analysed: Sequence[Analysed]) -> Table:
    """One row a variant, two columns a study; the paper's column last, where a row is one of the paper's."""
    rows = list(dict.fromkeys(item.part.rows[v] for item in analysed for v in _reference_first(item)))
    published = _published(rows)
    shown = not all(map(math.isnan, published))
    header = ["variant"]
    for item in analysed:
        header += [f"{item.title}: {item.comparison.metric.label}", "difference [95 % CI]"]
    lines = []
    for row, claim in zip(rows, published, strict=True):
        line = [row]
        for item in analysed:
            line += _pair(row, item)
        lines.append((*line, *([number(claim, 2)] if shown else [])))
    full = pd.concat([_long(item) for item in analysed], ignore_index=True)
    return Table(
        (*header, *([PAPER_HEADER] if shown else [])),
        tuple(lines),
        full,
        0,
        "Differences are from each study's own reference, paired by seed.",
        summary_note(analysed, with_paper=shown),
        (
            ColumnGroup("", 2),
            # Behind a word that may be capitalised: a name may not.
            *(ColumnGroup(f"study {item.title}", 2) for item in analysed[1:]),
            *([ColumnGroup("the paper's own numbers", 1)] if shown else []),
        ),
    )


def _published(rows: Sequence[str]) -> list[float]:
    """The paper's own numbers; NaN where a row is none of its."""
    return [PAPER.get(row.lower(), math.nan) for row in rows]


def _reference_first(item: Analysed) -> list[str]:
    study = item.part.description
    return [study.reference, *(v for v in study.variants if v != study.reference)]


def _pair(row: str, item: Analysed) -> list[str]:
    effect = next((e for e in item.comparison.effects if item.part.rows[e.variant] == row), None)
    if effect is None:
        return [BLANK, BLANK]
    return [_level(effect, item), difference(effect, item.comparison.metric)]


def _level(effect: Effect, item: Analysed) -> str:
    level = Level(effect.paired.mean, effect.paired.std, effect.paired.n)
    return f"{level.text(item.comparison.metric)} ({level.n})" if level.n else BLANK


def _long(item: Analysed) -> pd.DataFrame:
    """The study's effects with every digit, and whose they are."""
    effects = effects_table(item.comparison)
    rows = [item.part.rows[str(variant)] for variant in effects["variant"]]
    own = {
        "study": item.part.description.name,
        "dataset": item.part.dataset,
        "scale": item.part.description.scale,
        "row": rows,
    }
    for place, (column, value) in enumerate(own.items()):
        effects.insert(place, column, value)
    return effects.assign(paper_fine_tune_top1=_published(rows))


def _write(table: Table, analysed: Sequence[Analysed], out: Path) -> list[Path]:
    paths = [out / "summary.csv", out / "summary.md", out / "summary.tex"]
    table.full.to_csv(paths[0], index=False)
    paths[1].write_text(markdown(table), encoding="utf-8", newline="\n")
    paths[2].write_text(latex(table, "summary"), encoding="utf-8", newline="\n")
    paths += save(table_picture(table, "summary"), out)
    names = [path.name for path in paths]
    page = out / "index.html"
    sections = [section(item) for item in analysed]
    text = page_from(
        "summary.html", tables=shown_in_parts(table), caption=table.caption, sections=sections, files=names
    )
    page.write_text(text, encoding="utf-8", newline="\n")
    return [*paths, page]


def section(item: Analysed) -> Section:
    """What a page over several studies shows of one."""
    job = forest(item.comparison)
    light = as_svg(job, LIGHT)
    shown = picture(job, light, on_dark(light))
    # One page holds several forests, and a picture's name is its place on the page.
    unnamed = Picture("", "", shown.alt, shown.light, shown.dark)
    part = item.part
    return Section(item.title, part.description.question, part.setting, item.answer, unnamed, item.notes)
