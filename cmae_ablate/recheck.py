"""Before a study goes on: whether what its complete cells left on disk is still what they left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cmae_ablate.campaign import Campaign
from cmae_ablate.finished import check_evaluation, check_pretraining
from cmae_ablate.queue import CellStatus
from cmae_ablate.records import DamagedError
from cmae_ablate.trial import evaluation_path


def damaged_cells(campaign: Campaign, statuses: Sequence[CellStatus]) -> dict[str, DamagedError]:
    """The complete cells whose record, weights, evaluations or predictions are damaged, by id.

    Cells whose files are elsewhere, as after an import or `cache prune`, are not among them. Reading all
    weights takes about a second a gigabyte.

    Args:
        campaign: The study.
        statuses: Of its cells.
    """
    found: dict[str, DamagedError] = {}
    for status in statuses:
        folder = Path(str(status.results.get("folder") or "/nowhere"))
        if status.state != "COMPLETE" or not folder.is_dir():
            continue
        try:
            record = check_pretraining(folder)
            if record is not None:
                for choice in campaign.cell(status.cell).spec.evaluations.values():
                    check_evaluation(evaluation_path(choice, folder), record["weights_sha256"])
        except DamagedError as error:
            found[status.cell.id] = error
    return found
