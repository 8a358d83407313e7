"""From cells and controls to every number and sentence of a report, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from cmae_ablate.report.answer import Answer, answer
from cmae_ablate.report.attribution import Attribution, along_path, over_orders
from cmae_ablate.report.baseline_check import baseline_check
from cmae_ablate.report.cells import Cells, sort_out
from cmae_ablate.report.controls import ControlEffect, Sensitivity, control_effects, sensitivity
from cmae_ablate.report.effects import Comparison, compare
from cmae_ablate.report.factorial import Factorial, analyse, tested_terms
from cmae_ablate.report.frame import ReportExtras, StudyDescription
from cmae_ablate.report.gallery import CROP_BOXES, RECONSTRUCTIONS, Gallery, gather
from cmae_ablate.report.importance import Importance, importance
from cmae_ablate.report.localisation import Localisation, localisation
from cmae_ablate.report.progress import Progress, progress
from cmae_ablate.report.wording import counted, in_quotes, seed_ranges
from cmae_ablate.report.worth import caption_words, resolution_sentence

NO_PLAN = (
    "nothing is known of an analysis plan: whether contrasts, margin and seeds were declared beforehand "
    "cannot be said"
)


@dataclass(frozen=True)
class Findings:
    """Everything computed before anything is written."""

    cells: Cells
    comparison: Comparison
    further: tuple[Comparison, ...]
    controls: tuple[ControlEffect, ...]
    sensitivity: Sensitivity
    answer: Answer
    resolution: str
    factorial: Factorial | None
    attributions: tuple[Attribution, ...]
    localised: Localisation | None
    progress: Progress | None
    importance: Importance | None
    galleries: tuple[Gallery, ...]
    notes: tuple[str, ...]

    @property
    def worth(self) -> str:
        """What the answer is worth, for the caption of a table that is printed without it."""
        return caption_words(self.comparison, self.sensitivity, self.resolution)


def find(
    description: StudyDescription, trials: pd.DataFrame, controls: pd.DataFrame | None, extras: ReportExtras
) -> Findings:
    """Everything that a report says, before a word of it is written.

    Raises:
        UserError: `trials` cannot be a table of cells.
    """
    cells = sort_out(trials, description)
    beside = [metric for metric in description.report if metric != description.metric]
    known = [metric for metric in beside if metric in cells.rows.columns]
    galleries = _galleries(description, extras)
    localised = localisation(extras.curves, description)
    further = tuple(compare(cells, metric, thorough=False) for metric in known)
    decisive = compare(cells, description.metric, extras.correct, clusters=extras.clusters)
    against_controls = control_effects(decisive, controls)
    seen = sensitivity(decisive, against_controls)
    comparison = replace(decisive, sensitive=seen.sensitive)
    measured = progress(extras.progress, cells.description, seen.sensitive)
    of_keys = importance(extras.searched, description)
    factorial = analyse(cells)
    notes = (
        *(measured.sentences if measured else ()),
        *extras.notes,
        *cells.notes,
        *_doubts(comparison, further, controls, factorial),
        *_warnings(extras),
        *(localised.notes if localised else ()),
        *(of_keys.notes if of_keys else ()),
        *(note for gallery in galleries for note in gallery.notes),
        *(f"no column '{metric}' in the trials; not shown" for metric in beside if metric not in known),
        *([NO_PLAN] if description.plan is None else []),
    )
    terms = tested_terms(factorial, cells.description)
    return Findings(
        cells=cells,
        comparison=comparison,
        further=further,
        controls=against_controls,
        sensitivity=seen,
        answer=answer(comparison, cells, seen, factorial),
        resolution=resolution_sentence(comparison, seen, terms),
        factorial=factorial,
        attributions=tuple(a for a in (along_path(cells), over_orders(cells)) if a is not None),
        localised=localised,
        progress=measured,
        importance=of_keys,
        galleries=galleries,
        notes=notes,
    )


def _warnings(extras: ReportExtras) -> Iterator[str]:
    for (variant, seed), warning in extras.warnings.items():
        yield f"{in_quotes(variant)}, seed {seed}: {warning}"


def _doubts(
    comparison: Comparison,
    further: tuple[Comparison, ...],
    controls: pd.DataFrame | None,
    factorial: Factorial | None,
) -> Iterator[str]:
    """What of the cells is not used, and what their pretraining has not taught."""
    yield from factorial.notes if factorial else ()
    yield from _beyond_looks(comparison)
    for each in (comparison, *further):
        yield from baseline_check(each, controls)


def _beyond_looks(comparison: Comparison) -> Iterator[str]:
    """Complete pairs that a rule for adding seeds does not count: of no look, or after the last."""
    for effect in comparison.declared:
        if comparison.description.rule is None or not {effect.variant, effect.against} <= set(
            comparison.values
        ):
            continue
        both = comparison.values[[effect.variant, effect.against]].dropna()
        unused = sorted({int(seed) for seed in both.index} - set(effect.seeds))
        if unused:
            yield (
                f"{in_quotes(effect.variant)} against {in_quotes(effect.against)}: "
                f"{counted(len(unused), 'complete pair')} "
                f"(seed{'' if len(unused) == 1 else 's'} {seed_ranges(unused)}) not used, as the rule for "
                "adding seeds has not looked at them"
            )


def _galleries(description: StudyDescription, extras: ReportExtras) -> tuple[Gallery, ...]:
    return (
        gather(RECONSTRUCTIONS, extras.reconstructions, description.variants),
        gather(CROP_BOXES, extras.crop_boxes, description.variants),
    )
