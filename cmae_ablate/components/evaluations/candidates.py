"""An evaluation with a grid: every candidate is reported, and a cell's own best is read off validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cmae_ablate.components.evaluation_protocols import Candidate, EvaluationResult

CHOICE_WORDS = (
    "one for all cells of a study, by mean validation accuracy; test accuracies of the others decide nothing"
)
"""How a protocol sentence ends that has named its grid."""


def own_best(
    candidates: Sequence[Candidate], protocol: str, details: Mapping[str, float] | None = None
) -> EvaluationResult:
    """The result of a cell on its own: its candidate of best validation accuracy, and all of them.

    Args:
        candidates: Not empty; the strongest regularisation first, which wins where accuracies are equal.
        protocol: The evaluation's sentence.
        details: Further facts for the record.
    """
    # `max` takes the first of equals. Only validation decides: whatever the test accuracies are.
    best = max(candidates, key=lambda candidate: candidate.metrics["validation_top1"])
    return EvaluationResult(
        metrics=best.metrics,
        predictions=best.predictions,
        protocol=protocol,
        chosen={**best.settings, **(details or {})},
        candidates=tuple(candidates),
    )
