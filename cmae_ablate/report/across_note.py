"""What the reader of a table of several studies must know, with the titles of the studies it is true of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cmae_ablate.report.caption import interval_words
from cmae_ablate.report.effects import DECLARED, EXPLORATORY
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.study_part import Analysed, StudyPart
from cmae_ablate.report.wording import (
    ADDED_NOTE,
    EXPLORATORY_NOTE,
    PLUS_MINUS,
    counted,
    is_or_are,
    listing,
    one_line,
    quoted,
)

BUDGETS = {"flops": "FLOPs"}
"""A budget's name in a sentence, where it is not the study file's."""
PAPER_SOURCE = (
    "The last column is what Mao et al. (arXiv 2205.10546) report for ViT-B on Tiny-ImageNet, fine-tuned at "
    "224 pixels; it comes from other training and another evaluation than the columns before it"
)


def summary_note(analysed: Sequence[Analysed], *, with_paper: bool) -> str:
    """Everything that stands below the table, in sentences."""
    parts = [item.part for item in analysed]
    intervals = _whose({item.title: [interval_words(item.part.description)] for item in analysed})
    sentences = [
        f"Mean {PLUS_MINUS} standard deviation over seeds, their number in brackets; {'; '.join(intervals)}."
    ]
    if place := shared_place(parts):
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
        sentences.append(f"{EXPLORATORY_NOTE}.")
    if any(effect.planned for effect in effects):
        sentences.append(f"{ADDED_NOTE}.")
    sentences += [sentence for item in analysed for sentence in _elsewhere(item)]
    sentences += [
        f"{item.title}: insensitive, so that its differences say nothing."
        for item in analysed
        if item.comparison.sensitive is False
    ]
    sentences += [f"{item.title}: {item.resolution}" for item in analysed]
    sentences.append(_budgets(analysed))
    own_notes = {item.title: _own_notes(item.cells.description) for item in analysed}
    notes = [note if note.endswith((".", "?", "!")) else f"{note}." for note in _whose(own_notes)]
    return " ".join([*sentences, *notes, *([f"{PAPER_SOURCE}."] if with_paper else [])])


def _whose(sentences: Mapping[str, Sequence[str]]) -> list[str]:
    """Each sentence once: as it is where all studies have it, else after the titles of those that do."""
    found = []
    for sentence in dict.fromkeys(one for own in sentences.values() for one in own):
        titles = [title for title, own in sentences.items() if sentence in own]
        found.append(sentence if len(titles) == len(sentences) else f"{', '.join(titles)}: {sentence}")
    return found


def _own_notes(study: StudyDescription) -> list[str]:
    return [one_line(note) for note in study.notes if note != study.budget_note]


def _budgets(analysed: Sequence[Analysed]) -> str:
    """What variants of a study have equally much of; a study that failed to says so in its notes."""
    kept = {
        item.title: BUDGETS.get(study.budget, study.budget)
        for item in analysed
        if (study := item.part.description).budget_note in ("", *item.cells.description.notes)
    }
    if len(set(kept.values())) == 1 and len(kept) == len(analysed):
        (budget,) = set(kept.values())
        return f"Within a study variants have equal {budget}; its own table has what they cost."
    told = listing([f"{budget} in {title}" for title, budget in kept.items()], 99)
    shared = f"Variants have equal {told}; each" if kept else "Each"
    return f"{shared} study's own table has what they cost."


def _elsewhere(item: Analysed) -> Iterator[str]:
    """What the study declares that this table, with a row a variant, has no place for."""
    if item.terms:
        yield (
            f"{item.title}: of a grid what is declared are main effects and interactions, which are in its "
            "answer and its own report, not in this table."
        )
    declared = [effect for effect in item.comparison.others if effect.family == DECLARED]
    if declared:
        names = listing([f"{quoted(each.variant)} against {quoted(each.against)}" for each in declared], 3)
        yield (
            f"{item.title}: {counted(len(declared), 'declared contrast')} not from the reference ({names}) "
            f"{is_or_are(len(declared))} in its answer and its own report, not in this table."
        )


def shared_place(parts: Sequence[StudyPart]) -> str | None:
    """Where all were trained; None where not all in one place."""
    places = {part.place for part in parts}
    return places.pop() if len(places) == 1 else None
