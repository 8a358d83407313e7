"""Across studies: MAE against each component and CMAE over data sets, beside the paper's own numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from cmae_ablate.errors import UserError
from cmae_ablate.report.answer import Answer
from cmae_ablate.report.caption import interval_words
from cmae_ablate.report.cells import Cells
from cmae_ablate.report.columns import ColumnGroup
from cmae_ablate.report.effects import EXPLORATORY, Comparison, Effect
from cmae_ablate.report.effects_table import effects_table
from cmae_ablate.report.factorial import Term
from cmae_ablate.report.findings import find
from cmae_ablate.report.forest import forest
from cmae_ablate.report.frame import ReportExtras, ReportFiles, StudyDescription
from cmae_ablate.report.latex import latex
from cmae_ablate.report.markup import Picture, page_from, picture
from cmae_ablate.report.shown import shown_in_parts
from cmae_ablate.report.table_picture import table_picture
from cmae_ablate.report.tables import Level, Table, difference, markdown
from cmae_ablate.report.theme import LIGHT, as_svg, on_dark, save
from cmae_ablate.report.wording import BLANK, DAGGER, PLUS_MINUS, listing, number, one_line, quoted

PAPER: Mapping[str, float] = {"mae": 62.95, "cmae": 65.84}
"""Fine-tuned top-1 of ViT-B on Tiny-ImageNet at 224, from the abstract of arXiv 2205.10546."""
PAPER_HEADER = "the paper: fine-tuned top-1 (%), not measured here"
PAPER_SOURCE = (
    "The last column is what Mao et al. (arXiv 2205.10546) report for ViT-B on Tiny-ImageNet, fine-tuned at "
    "224 pixels; it comes from other training and another evaluation than the columns before it"
)


@dataclass(frozen=True)
class StudyPart:
    """One study of a summary.

    Attributes:
        description: As for its own report.
        trials: As for its own report.
        dataset: What its trials were trained and tested on.
        setting: Backbone, epochs and the like in one line.
        roles: `MAE` and `CMAE` by variant label, where a variant is what the paper calls so.
        controls: Its controls, where they are known: they say whether it can tell a difference.
        notes: What was left out on reading.
    """

    description: StudyDescription
    trials: pd.DataFrame
    dataset: str
    setting: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    controls: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it was trained."""
        return f"{self.dataset}, scale {self.description.scale}"

    @cached_property
    def rows(self) -> Mapping[str, str]:
        """The summary's row of each variant; the variant's own label where two would share a row."""
        rows = {label: self._row(label) for label in self.description.variants}
        shared = Counter(rows.values())
        return {label: row if shared[row] == 1 else one_line(label) for label, row in rows.items()}

    def _row(self, label: str) -> str:
        """A variant's role, its label, or what it changes about the reference."""
        study = self.description
        if label in self.roles:
            return self.roles[label]
        if len(study.factors) < 2 or label == study.reference or label not in study.levels:
            return one_line(label)
        base = study.levels.get(study.reference, {})
        changed = [level for factor, level in study.levels[label].items() if base.get(factor) != level]
        return one_line(f"with {' + '.join(changed)}")


@dataclass(frozen=True)
class Analysed:
    """A part with its statistics, under the title that tells its columns from the others'."""

    title: str
    part: StudyPart
    cells: Cells
    comparison: Comparison
    answer: Answer
    resolution: str
    notes: tuple[str, ...] = ()
    """Everything that its own report says of its cells, and of what they have not been taught."""
    terms: tuple[Term, ...] = ()
    """Of a grid that is tested by them."""


@dataclass(frozen=True)
class Section:
    """A study as a page over several shows it."""

    title: str
    question: str
    setting: str
    answer: Answer
    picture: Picture
    notes: tuple[str, ...]


def combine(parts: Sequence[StudyPart], out: Path, *, paper: Mapping[str, float] = PAPER) -> ReportFiles:
    """Write `summary.{csv,md,tex,png,pdf}` and `index.html` over several studies.

    Every study keeps its own reference, pairing and Holm family; nothing is averaged over studies.

    Args:
        parts: The studies, in column order.
        out: The folder to write into.
        paper: Published numbers by lower-case row, for a column of their own.

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
    table = summary_table(analysed, paper)
    notes = tuple(f"{item.title}: {note}" for item in analysed for note in item.notes)
    sentence = "\n".join(f"{item.title}: {item.answer.text}" for item in analysed)
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths = _write(table, analysed, out)
    except OSError as error:
        place = error.filename or out
        raise UserError(f"{place}: cannot be written ({error.strerror}); choose another --out") from error
    return ReportFiles({path.name: path for path in paths}, sentence, (table.header, *table.lines), notes)


def _shared_place(parts: Sequence[StudyPart]) -> str | None:
    """Where all were trained; None where not all in one place."""
    places = {part.place for part in parts}
    return places.pop() if len(places) == 1 else None


def _titles(parts: Sequence[StudyPart]) -> list[str]:
    """The studies' names, with data set and scale where these are not the same for all."""
    if _shared_place(parts):
        return [part.description.name for part in parts]
    return [f"{part.place}, {part.description.name}" for part in parts]


def analyse(title: str, part: StudyPart) -> Analysed:
    """The study as its own report has it, under a title.

    Raises:
        UserError: Its trials are malformed.
    """
    found = find(part.description, part.trials, part.controls, ReportExtras(notes=part.notes))
    terms = found.factorial.family if found.factorial is not None and part.description.tests_terms else ()
    return Analysed(
        title, part, found.cells, found.comparison, found.answer, found.resolution, found.notes, terms
    )


def summary_table(analysed: Sequence[Analysed], paper: Mapping[str, float]) -> Table:
    """One row a variant, two columns a study; the paper's column last, where a row is one of the paper's."""
    rows = list(dict.fromkeys(item.part.rows[v] for item in analysed for v in _reference_first(item)))
    published = [paper.get(row.lower(), math.nan) for row in rows]
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
    full = pd.concat([_long(item, paper) for item in analysed], ignore_index=True)
    return Table(
        (*header, *([PAPER_HEADER] if shown else [])),
        tuple(lines),
        full,
        0,
        "Differences are from each study's own reference, paired by seed.",
        _note(analysed, with_paper=shown),
        (
            ColumnGroup("", 2),
            *(ColumnGroup(item.title, 2) for item in analysed[1:]),
            *([ColumnGroup("the paper's own numbers", 1)] if shown else []),
        ),
    )


def _note(analysed: Sequence[Analysed], *, with_paper: bool) -> str:
    parts = [item.part for item in analysed]
    intervals = dict.fromkeys(interval_words(part.description) for part in parts)
    sentences = [
        f"Mean {PLUS_MINUS} standard deviation over seeds, their number in brackets; {'; '.join(intervals)}."
    ]
    if place := _shared_place(parts):
        sentences.append(f"All studies: {place}.")
    kinds = {
        "data sets": [part.dataset for part in parts],
        "scales": [part.description.scale for part in parts],
        "settings": [part.setting for part in parts],
        "metrics": [item.comparison.metric.words for item in analysed],
        "budgets": [part.description.budget for part in parts],
    }
    unlike = [kind for kind, values in kinds.items() if len(set(values)) > 1]
    if unlike:
        sentences.append(f"The columns differ in {listing(unlike)}: read down a column, not along a row.")
    references = dict.fromkeys(
        f"{item.title}: {quoted(item.part.description.reference)}" for item in analysed
    )
    sentences.append(f"References: {'; '.join(references)}.")
    effects = [effect for item in analysed for effect in item.comparison.effects]
    if any(effect.family == EXPLORATORY for effect in effects):
        sentences.append(f"{DAGGER} exploratory: not corrected for being one of many.")
    if any(effect.planned for effect in effects):
        sentences.append("* includes seeds added later.")
    sentences += [f"{item.title}: {item.resolution}" for item in analysed]
    budgets = listing(list(dict.fromkeys(kinds["budgets"])))
    sentences.append(f"Within a study variants have equal {budgets}; its own table has what they cost.")
    notes = dict.fromkeys(
        one_line(note)
        for study in (part.description for part in parts)
        for note in study.notes
        if note != study.budget_note
    )
    return " ".join([*sentences, *notes, *([f"{PAPER_SOURCE}."] if with_paper else [])])


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


def _long(item: Analysed, paper: Mapping[str, float]) -> pd.DataFrame:
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
    return effects.assign(paper_fine_tune_top1=[paper.get(row.lower(), math.nan) for row in rows])


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
