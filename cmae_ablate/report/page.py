"""`index.html`: one self-contained file that opens from disk, light or dark, and needs no network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from cmae_ablate.report.answer import Answer
from cmae_ablate.report.caption import family_sentence, plan_sentence
from cmae_ablate.report.cells import Cells
from cmae_ablate.report.effects import Comparison
from cmae_ablate.report.factorial import Factorial
from cmae_ablate.report.frame import ReportExtras, StudyDescription
from cmae_ablate.report.gallery import Gallery
from cmae_ablate.report.glance import Group, against_heading, glance
from cmae_ablate.report.importance import HEADER as IMPORTANCE_HEADER
from cmae_ablate.report.importance import Importance
from cmae_ablate.report.localisation import CAPTION, HEADER, Localisation
from cmae_ablate.report.markup import Picture, page_from, photograph
from cmae_ablate.report.selection import is_candidate
from cmae_ablate.report.short_labels import ShortLabels, by_against
from cmae_ablate.report.shown import shown_in_parts
from cmae_ablate.report.tables import Table, modelled_interval, two_way_interval
from cmae_ablate.report.verdict import phrase
from cmae_ablate.report.wording import BLANK, Metric, p_value, significant

LONG = 30
LINKS = ("http://", "https://", "file://")


@dataclass(frozen=True)
class CellLine:
    """One row of the per-cell table."""

    variant: str
    seed: int
    state: str
    values: tuple[str, ...]
    link: str
    added: bool


@dataclass(frozen=True)
class PageContent:
    """Everything that the template shows; it computes nothing of its own."""

    study: StudyDescription
    answer: Answer
    table: Table
    comparison: Comparison
    cells: Cells
    notes: tuple[str, ...]
    figures: tuple[Picture, ...]
    galleries: tuple[Gallery, ...]
    factorial: Factorial | None
    localised: Localisation | None
    extras: ReportExtras
    files: tuple[str, ...]
    importance: Importance | None = None


def render(content: PageContent) -> str:
    """The page's HTML. Every label is escaped by the template engine."""
    study, extras = content.study, content.extras
    return page_from(
        "page.html",
        study=study,
        answer=content.answer,
        glance=glance(content.answer, content.comparison, content.cells),
        table=content.table,
        tables=shown_in_parts(content.table),
        long_labels=max((len(line[0]) for line in content.table.lines), default=0) > LONG,
        verdicts=_verdicts(content.comparison),
        insensitive=content.comparison.sensitive is False,
        notes=content.notes,
        figures=content.figures,
        anova=_anova(content.factorial, content.comparison.metric),
        family=family_sentence(content.comparison),
        plan=plan_sentence(study.plan),
        localisation={"header": HEADER, "lines": content.localised.lines, "caption": CAPTION}
        if content.localised
        else None,
        importance={
            "header": IMPORTANCE_HEADER,
            "lines": content.importance.lines,
            "caption": content.importance.caption,
        }
        if content.importance
        else None,
        galleries=list(_galleries(content.galleries)),
        cell_header=_cell_columns(content.cells),
        cell_lines=list(_cell_lines(content.cells, extras)),
        linked=any(_link(url) for url in extras.links.values()),
        links_name=extras.links_name,
        links_open=extras.links_open,
        environment=extras.environment,
        command=extras.command,
        git=extras.git,
        study_file=extras.study_file,
        files=content.files,
    )


def _verdicts(comparison: Comparison) -> tuple[list[str], list[Group]]:
    """Header and rows: who, against whom, declared or exploratory, further intervals, and the conclusion."""
    metric = comparison.metric
    groups = by_against(comparison.contrasts)
    effects = [effect for _, of_it in groups for effect in of_it]
    names = ShortLabels.of(comparison.description)
    bounds = {
        "simultaneous 95 % CI": [e.simultaneous for e in effects],
        "95 % CI over seeds and images": [two_way_interval(e) for e in effects],
        f"95 % CI, {comparison.variance} variance": [modelled_interval(e) for e in effects],
    }
    shown = {title: ends for title, ends in bounds.items() if not all(math.isnan(low) for low, _ in ends)}
    header = ["variant", *([] if names.shortens else ["against"]), "comparison", *shown, "conclusion"]
    rows = [
        (
            names.beside(effect.variant, effect.against),
            *([] if names.shortens else [effect.against]),
            effect.family,
            *(metric.interval(*ends[index]) for ends in shown.values()),
            phrase(effect, comparison),
        )
        for index, effect in enumerate(effects)
    ]
    if not names.shortens:
        return header, [Group("", tuple(rows))]
    rest = iter(rows)
    return header, [
        Group(against_heading(against), tuple(itertools.islice(rest, len(of_it))))
        for against, of_it in groups
    ]


def _anova(result: Factorial | None, metric: Metric) -> list[tuple[str, ...]]:
    if result is None or not len(result.anova):
        return []
    return [
        (
            str(row["term"]),
            metric.signed(float(row["estimate"])),
            metric.interval(float(row["ci_low"]), float(row["ci_high"])) or BLANK,
            significant(float(row["F"])),
            p_value(float(row["p"])),
            p_value(float(row["p_holm"])),
            significant(float(row["partial_eta_sq"]), 2),
        )
        for _, row in result.table.iterrows()
    ]


def _galleries(galleries: Sequence[Gallery]) -> Iterator[tuple[str, str, list[Picture]]]:
    """Every kind of picture, its legend, and its variants' pictures side by side, in table order."""
    for gallery in galleries:
        pictures = [
            photograph(path, variant, f"{gallery.title} of {variant}")
            for variant, path in gallery.paths.items()
        ]
        if pictures:
            yield gallery.title, gallery.legend, pictures


def _cell_columns(cells: Cells) -> list[str]:
    """The metrics and costs of a cell, and its fingerprint."""
    hidden = {"variant", "seed", "state", "weights_sha256", *cells.description.factors}
    columns = [str(column) for column in cells.rows.columns if column not in hidden]
    return [column for column in columns if not is_candidate(column)]


def _cell_lines(cells: Cells, extras: ReportExtras) -> Iterator[CellLine]:
    names = ["variant", "seed", "state", *_cell_columns(cells)]
    added = cells.added_seeds
    for variant, seed, state, *values in zip(*(cells.rows[name].tolist() for name in names), strict=True):
        link = _link(extras.links.get((variant, seed), ""))
        yield CellLine(variant, seed, state, tuple(map(_value, values)), link, seed in added)


def _value(value: object) -> str:
    """Six significant digits of a number, twelve characters of a hash, any other text as it is."""
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.6g}"
    text = str(value)
    return text[:12] if len(text) > 24 and " " not in text else text


def _link(url: str) -> str:
    return url if url.startswith(LINKS) else ""
