"""Before a study goes on: whether what its complete cells left on disk is still what they left."""

from __future__ import annotations

from collections.abc import Sequence

from cmae_ablate.files import DamagedError
from cmae_ablate.queue import CellStatus
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.finished import check_evaluation, check_pretraining, evaluation_path, folder_of


def damaged_cells(experiment: Experiment, statuses: Sequence[CellStatus]) -> dict[str, DamagedError]:
    """The complete cells whose record, weights, evaluations or predictions are damaged, by id.

    Cells whose files are elsewhere, as after an import or `cache prune`, are not among them. Reading all
    weights takes about a second a gigabyte.

    Args:
        experiment: The study, or its controls.
        statuses: Of its cells.
    """
    found: dict[str, DamagedError] = {}
    for status in statuses:
        folder = folder_of(status.record, experiment.places.cache)
        if folder is None or not folder.is_dir():
            continue
        try:
            check_pretraining(folder)  # a control may have none
            for choice in experiment.cell(status.cell).spec.evaluations.values():
                check_evaluation(evaluation_path(choice, folder), status.record.weights_sha256)
        except DamagedError as error:
            found[status.cell.id] = error
    return found
