"""Across studies: MAE against each component and CMAE over data sets, beside the paper's own numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from cmae_ablate.errors import UserError
from cmae_ablate.report.answer import answer
from cmae_ablate.report.cells import Cells, sort_out
from cmae_ablate.report.effects import Comparison, Effect, compare
from cmae_ablate.report.effects_table import effects_table
from cmae_ablate.report.forest import forest
from cmae_ablate.report.frame import ReportFiles, StudyDescription
from cmae_ablate.report.latex import latex
from cmae_ablate.report.page import Picture, picture
from cmae_ablate.report.table_picture import table_picture
from cmae_ablate.report.tables import Level, Table, difference, markdown
from cmae_ablate.report.theme import DARK, LIGHT, as_svg, save
from cmae_ablate.report.wording import BLANK, number, one_line

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
    """

    description: StudyDescription
    trials: pd.DataFrame
    dataset: str


@dataclass(frozen=True)
class _Analysed:
    part: StudyPart
    cells: Cells
    comparison: Comparison

    @property
    def title(self) -> str:
        return f"{self.part.dataset}, {self.part.description.name}"


@dataclass(frozen=True)
class _Section:
    """A study as the summary's page shows it."""

    title: str
    question: str
    answer: str
    picture: Picture
    notes: tuple[str, ...]


def combine(parts: Sequence[StudyPart], out: Path, *, paper: Mapping[str, float] = PAPER) -> ReportFiles:
    """Write `summary.{csv,md,tex,png,pdf}` and `index.html` over several studies.

    Every study keeps its own reference, pairing and Holm family; nothing is averaged over studies.

    Args:
        parts: The studies, in column order.
        out: The folder to write into.
        paper: Published numbers by lower-case variant label, for a column of their own.

    Raises:
        UserError: There is no study, two columns would have one name, trials are malformed, or `out` cannot
            be written.
    """
    if not parts:
        raise UserError("report: no study given; name at least one study file")
    analysed = [_analyse(part) for part in parts]
    titles = [item.title for item in analysed]
    for title in titles:
        if titles.count(title) > 1:
            raise UserError(f"report: '{title}' is given twice; rename one study file, or leave one out")
    table = summary_table(analysed, paper)
    notes = tuple(f"{item.title}: {note}" for item in analysed for note in item.cells.notes)
    sentence = " ".join(f"{item.title}: {answer(item.comparison, item.cells)}" for item in analysed)
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths = _write(table, analysed, out)
    except OSError as error:
        place = error.filename or out
        raise UserError(f"{place}: cannot be written ({error.strerror}); choose another --out") from error
    return ReportFiles({path.name: path for path in paths}, sentence, (table.header, *table.lines), notes)


def _analyse(part: StudyPart) -> _Analysed:
    cells = sort_out(part.trials, part.description)
    return _Analysed(part, cells, compare(cells, part.description.metric))


def summary_table(analysed: Sequence[_Analysed], paper: Mapping[str, float]) -> Table:
    """One row a variant label, two columns a study; the paper's column last, where a label is the paper's."""
    labels = list(dict.fromkeys(v for item in analysed for v in _reference_first(item)))
    published = [paper.get(label.strip().lower(), math.nan) for label in labels]
    shown = not all(map(math.isnan, published))
    header = ["variant"]
    for item in analysed:
        header += [f"{item.title}: {item.comparison.metric.label}", "difference [95 % CI]"]
    lines = []
    for label, claim in zip(labels, published, strict=True):
        line = [one_line(label)]
        for item in analysed:
            line += _pair(label, item)
        lines.append((*line, *([number(claim, 2)] if shown else [])))
    full = pd.concat([_long(item, paper) for item in analysed], ignore_index=True)
    caption = (
        "Mean \N{PLUS-MINUS SIGN} standard deviation over seeds; differences paired by seed within a study, "
    )
    caption += "from that study's own reference, with the two-sided 95 % t interval."
    references = dict.fromkeys(f"{i.title}: \u2018{i.part.description.reference}\u2019" for i in analysed)
    caption += f" References: {'; '.join(references)}."
    caption += f" {PAPER_SOURCE}." if shown else ""
    return Table((*header, *([PAPER_HEADER] if shown else [])), tuple(lines), full, 0, caption)


def _reference_first(item: _Analysed) -> list[str]:
    study = item.part.description
    return [study.reference, *(v for v in study.variants if v != study.reference)]


def _pair(label: str, item: _Analysed) -> list[str]:
    effect = _effect_of(label, item.comparison)
    if effect is None:
        return [BLANK, BLANK]
    level = Level(effect.paired.mean, effect.paired.std, effect.paired.n)
    return [level.text(item.comparison.metric), difference(effect, item.comparison.metric)]


def _effect_of(label: str, comparison: Comparison) -> Effect | None:
    return next((effect for effect in comparison.effects if effect.variant == label), None)


def _long(item: _Analysed, paper: Mapping[str, float]) -> pd.DataFrame:
    """The study's effects with every digit, and whose they are."""
    effects = effects_table(item.comparison)
    claims = [paper.get(str(v).strip().lower(), math.nan) for v in effects["variant"]]
    effects.insert(0, "study", item.part.description.name)
    effects.insert(1, "dataset", item.part.dataset)
    return effects.assign(paper_fine_tune_top1=claims)


def _write(table: Table, analysed: Sequence[_Analysed], out: Path) -> list[Path]:
    paths = [out / "summary.csv", out / "summary.md", out / "summary.tex"]
    table.full.to_csv(paths[0], index=False)
    paths[1].write_text(markdown(table), encoding="utf-8")
    paths[2].write_text(latex(table, "summary"), encoding="utf-8")
    paths += save(table_picture(table, "summary"), out)
    sections = []
    for item in analysed:
        job = forest(item.comparison)
        shown = picture(job, as_svg(job, LIGHT), as_svg(job, DARK))
        sentence = answer(item.comparison, item.cells)
        sections.append(
            _Section(item.title, item.part.description.question, sentence, shown, item.cells.notes)
        )
    page = out / "index.html"
    page.write_text(_page(table, sections, [path.name for path in paths]), encoding="utf-8")
    return [*paths, page]


def _page(table: Table, sections: Sequence[_Section], files: Sequence[str]) -> str:
    environment = Environment(
        loader=PackageLoader("cmae_ablate.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("summary.html").render(table=table, sections=sections, files=files)
