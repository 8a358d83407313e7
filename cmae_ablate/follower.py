"""A worker's ranks other than the first: they train what rank 0 names, and do nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cmae_ablate.campaign import Campaign
from cmae_ablate.checkpoint import text_digest
from cmae_ablate.errors import DivergedError, Interrupted, UserError
from cmae_ablate.pretrain import Hooks
from cmae_ablate.ranks import DISMISSED, Ranks
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.trial import Bench, follow_cell


def check_ranks(campaign: Campaign, ranks: Ranks) -> None:
    """Refuse what the ranks cannot train together.

    Raises:
        UserError: A batch cannot be shared out evenly, another rank sees another study, or it is a search.
    """
    if ranks.count > 1 and campaign.study.search is not None:
        raise UserError(
            f"{campaign.study.origin.file}: a search is tuned by workers of one process each; "
            "use `cmae-ablate run` or `cmae-ablate worker` without torchrun"
        )
    for variant in campaign.variants:
        batch = min(variant.spec.training.batch_size, len(campaign.data_of(variant.spec).train))
        if batch % ranks.count:
            raise UserError(
                f"{campaign.study.origin.file}: variant '{variant.label}': a batch of {batch} images cannot "
                f"be shared out evenly among {ranks.count} ranks; set training.batch_size to a multiple of "
                f"{ranks.count}, or start another number of ranks"
            )
    if not ranks.same(int(text_digest("".join(cell.id for cell in campaign.planned))[:15], 16)):
        raise UserError(
            f"{campaign.study.origin.file}: the ranks see different studies or data; "
            "give all of them the same files, options and versions"
        )


def follow(campaigns: Sequence[Campaign], runtime: Runtime, stop: Callable[[], int]) -> int:
    """Train with rank 0 until it dismisses all.

    Args:
        campaigns: The study and its controls, the same on every rank; tasks count the cells of all.
        runtime: Device and ranks.
        stop: The exit status that a signal asks for, or 0.

    Returns:
        0, or the exit status asked of any rank.

    Raises:
        RankError: Another rank is gone.
    """
    cells = [(campaign, planned) for campaign in campaigns for planned in campaign.planned]
    while True:
        status, task = runtime.ranks.exchange(stop())
        if status or task == DISMISSED:
            return status
        campaign, planned = cells[task]
        spec = campaign.cell(planned).spec
        training = spec.training
        set_threads(training.threads)
        own = replace(runtime, precision=training.precision, compile=training.compile)
        bench = Bench(campaign.data_of(spec), own, campaign.places.cache)
        try:
            follow_cell(spec, bench, Hooks(should_stop=lambda: stop() > 0, warn=_leave_it_to_the_leader))
        except (Interrupted, DivergedError, UserError):
            continue  # as on rank 0, which says so


def _leave_it_to_the_leader(text: str) -> None:
    """Rank 0 has the same to say."""
