"""A worker's ranks other than the first: they train what rank 0 names, and do nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cmae_ablate.checkpoint import text_digest
from cmae_ablate.distributed import DISMISSED, Ranks
from cmae_ablate.errors import DivergedError, Interrupted, UserError
from cmae_ablate.runner.cell import CellContext, follow_cell
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runtime import Runtime
from cmae_ablate.training.loop import Hooks


def check_ranks(experiment: Experiment, ranks: Ranks) -> None:
    """Refuse what the ranks cannot train together.

    Raises:
        UserError: A batch cannot be shared out evenly, another rank sees another study, or it is a search.
    """
    if ranks.count > 1 and experiment.study.search is not None:
        raise UserError(
            f"{experiment.study.origin.file}: a search is tuned by workers of one process each; "
            "use `cmae-ablate run` or `cmae-ablate worker` without torchrun"
        )
    for variant in experiment.variants:
        batch = min(variant.spec.training.batch_size, len(experiment.data_of(variant.spec).train))
        if batch % ranks.count:
            raise UserError(
                f"{experiment.study.origin.file}: variant '{variant.label}': a batch of {batch} images "
                f"cannot be shared out evenly among {ranks.count} ranks; set training.batch_size to a "
                f"multiple of {ranks.count}, or start another number of ranks"
            )
    if not ranks.same(int(text_digest("".join(cell.id for cell in experiment.planned))[:15], 16)):
        raise UserError(
            f"{experiment.study.origin.file}: the ranks see different studies or data; "
            "give all of them the same files, options and versions"
        )


def follow(experiments: Sequence[Experiment], runtime: Runtime, stop: Callable[[], int]) -> int:
    """Train with rank 0 until it dismisses all.

    Args:
        experiments: The study and its controls, the same on every rank; tasks count the cells of all.
        runtime: Device and ranks.
        stop: The exit status that a signal asks for, or 0.

    Returns:
        0, or the exit status asked of any rank.

    Raises:
        RankError: Another rank is gone.
    """
    cells = [(experiment, planned) for experiment in experiments for planned in experiment.planned]
    while True:
        status, task = runtime.ranks.exchange(stop())
        if status or task == DISMISSED:
            return status
        experiment, planned = cells[task]
        spec = experiment.cell(planned).spec
        cell_context = CellContext.of(experiment, spec, runtime)
        try:
            follow_cell(
                spec, cell_context, Hooks(should_stop=lambda: stop() > 0, warn=_leave_it_to_the_leader)
            )
        except (Interrupted, DivergedError, UserError):
            continue  # as on rank 0, which says so


def _leave_it_to_the_leader(text: str) -> None:
    """Rank 0 has the same to say."""
