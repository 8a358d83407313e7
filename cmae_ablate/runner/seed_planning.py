"""Which cells a study that adds seeds by a rule wants by now: from its results alone, so that all agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cmae_ablate.queue import CellStatus
from cmae_ablate.report.seed_rule import SeedRule
from cmae_ablate.runner.results import StudyTrials, describe
from cmae_ablate.study.design import Variant, reference_label
from cmae_ablate.study.loading import Study

if TYPE_CHECKING:
    from cmae_ablate.report.settling import Settling


class SeedGate:
    """A gate for the queue: the first seeds of every variant, then those that open contrasts need.

    Results are read as the table reads them, all at one setting of a probe that offers several. It keeps the
    last decision, with what it was made from, as the queue is asked many times between two results.

    Args:
        study: With a rule.
        variants: Of its table.
    """

    def __init__(self, study: Study, variants: Sequence[Variant]) -> None:
        from cmae_ablate.report.sequential import prepare  # scipy, for studies that add seeds

        assert study.rule is not None, "a fixed number of seeds needs no gate"
        levels = {variant.label: variant.levels for variant in variants}
        self._rule: SeedRule = study.rule
        self._metric, self._variants = study.metric, tuple(levels)
        self._family = describe(study, levels, reference_label(study)).family
        self._known: Mapping[str, int | None] = {}
        self._last: Settling | None = None
        prepare(self._rule.looks, len(self._family))  # seconds, and not under the queue's lock

    def __call__(self, statuses: Sequence[CellStatus]) -> frozenset[str]:
        """The ids of the cells that are to be run by now."""
        wanted = self.settling(statuses).wanted
        return frozenset(each.cell.id for each in statuses if each.cell.seed < wanted[each.cell.variant])

    def settling(self, statuses: Sequence[CellStatus]) -> Settling:
        """Where the study stands by its rule."""
        known = {each.cell.id: each.trial for each in statuses if each.state in ("COMPLETE", "FAILED")}
        if self._last is None or known != self._known:
            self._last, self._known = self._settled(statuses), known
        return self._last

    def _settled(self, statuses: Sequence[CellStatus]) -> Settling:
        from cmae_ablate.report.settling import settle

        frame = StudyTrials.of([each for each in statuses if each.state == "COMPLETE"]).frame
        rows = frame.dropna(subset=[self._metric]) if self._metric in frame else frame.iloc[:0]
        values = {
            (str(row["variant"]), int(row["seed"])): float(row[self._metric])
            for row in rows.to_dict("records")
        }
        failed = {(each.cell.variant, each.cell.seed) for each in statuses if each.state == "FAILED"}
        return settle(self._rule, self._variants, self._family, values, failed)


def gate_of(study: Study, variants: Sequence[Variant]) -> SeedGate | None:
    """The study's gate; None where the number of seeds is fixed."""
    return None if study.rule is None else SeedGate(study, variants)
