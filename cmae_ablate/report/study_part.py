"""One study among several: what a page over studies or data sets takes of it, and its statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from cmae_ablate.report.answer import Answer
from cmae_ablate.report.cells import Cells
from cmae_ablate.report.effects import Comparison
from cmae_ablate.report.factorial import Term
from cmae_ablate.report.findings import find
from cmae_ablate.report.frame import ReportExtras, StudyDescription
from cmae_ablate.report.wording import one_line


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
    """Everything that its own report says of its data set, its cells, and what they have not been taught."""
    terms: tuple[Term, ...] = ()
    """Of a grid that is tested by them."""


def analyse(title: str, part: StudyPart) -> Analysed:
    """The study as its own report has it, under a title.

    Raises:
        UserError: Its trials are malformed.
    """
    found = find(part.description, part.trials, part.controls, ReportExtras(notes=part.notes))
    terms = found.factorial.family if found.factorial is not None and part.description.tests_terms else ()
    caveat = one_line(part.description.caveat)
    notes = (*([caveat] if caveat else []), *found.notes)
    return Analysed(title, part, found.cells, found.comparison, found.answer, found.resolution, notes, terms)
