"""The queue: which cell a worker trains next, kept in Optuna storage so that any worker may join or die."""

from cmae_ablate.database import redact
from cmae_ablate.errors import StorageError
from cmae_ablate.files import JSON
from cmae_ablate.queue.cells import CellStatus, OtherCell, PlannedCell
from cmae_ablate.queue.csv_import import check_rows, importable
from cmae_ablate.queue.lease import Claim
from cmae_ablate.queue.proposals import Direction, Proposals
from cmae_ablate.queue.queue import Queue
from cmae_ablate.queue.reading import passed, read_others, read_status
from cmae_ablate.queue.waiting import wait_for_a_cell

__all__ = [
    "JSON",
    "CellStatus",
    "Claim",
    "Direction",
    "OtherCell",
    "PlannedCell",
    "Proposals",
    "Queue",
    "StorageError",
    "check_rows",
    "importable",
    "passed",
    "read_others",
    "read_status",
    "redact",
    "wait_for_a_cell",
]
