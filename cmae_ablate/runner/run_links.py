"""Where each cell's MLflow run is found in a browser: asked once, and kept beside the study's report.

MLflow takes seconds to import. A report that is written again needs it only for cells that are new.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress

from cmae_ablate.database import redact, sqlite_path
from cmae_ablate.files import DamagedError, read_record, sealed, write_atomically
from cmae_ablate.queue import CellStatus
from cmae_ablate.report.frame import Cell
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.tracking.links import address_of, addresses

KEPT = ".run_links.json"
"""In the study's folder; what begins with a dot is no part of a report."""


def run_links(experiment: Experiment, statuses: Sequence[CellStatus]) -> dict[Cell, str]:
    """The address of each cell's MLflow run; none where the store does not exist or is away.

    Args:
        experiment: The study.
        statuses: Its cells.
    """
    uri = experiment.places.tracking
    database = sqlite_path(uri)
    if database is not None and not database.is_file():
        return {}
    complete = {_key(each) for each in statuses if each.state == "COMPLETE"}
    known = _kept(experiment)
    # Where MLflow is at hand, as at the end of a run, it is asked: runs may be others than before.
    if "mlflow" in sys.modules or not complete <= set(known):
        asked = _asked(experiment, {_key(each) for each in statuses})
        if asked is None:
            return {}
        known = asked
    found = {_key(each): (each.cell.variant, each.cell.seed) for each in statuses}
    return {cell: known[key] for key, cell in found.items() if key in known}


def _key(status: CellStatus) -> str:
    return _name(status.cell.variant, str(status.cell.seed), status.cell.fingerprint)


def _name(variant: str, seed: str, fingerprint: str) -> str:
    return json.dumps([variant, seed, fingerprint])


def _kept(experiment: Experiment) -> dict[str, str]:
    uri = experiment.places.tracking
    try:
        record = read_record(experiment.folder / KEPT)
        if record["store"] != redact(uri):
            return {}
        # The folder may be a stranger's: what a reader of the page follows is a page of this store's.
        pages = f"{address_of(uri)}/"
        runs = {str(key): str(address) for key, address in record["runs"].items()}
        return {key: address for key, address in runs.items() if address.startswith(pages)}
    except (FileNotFoundError, DamagedError, KeyError, AttributeError):
        return {}


def _asked(experiment: Experiment, wanted: set[str]) -> dict[str, str] | None:
    """What MLflow says, kept for the next report; None where it is away."""
    uri = experiment.places.tracking
    runs = addresses(uri, experiment.study.name)
    if runs is None:
        return None
    found = {_name(*tags): address for tags, address in runs.items() if _name(*tags) in wanted}
    # Where only reading is allowed a report is read all the same, and asks again.
    with suppress(OSError):
        if experiment.folder.is_dir():
            write_atomically(experiment.folder / KEPT, sealed({"store": redact(uri), "runs": found}))
    return found
