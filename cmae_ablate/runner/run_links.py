"""Where each cell's MLflow run is found in a browser: asked once, and kept beside the study's report.

MLflow takes seconds to import. A report that is written again needs it only for cells that are new.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cmae_ablate.database import redact, sqlite_path
from cmae_ablate.files import write_atomically
from cmae_ablate.queue import CellStatus
from cmae_ablate.records import DamagedError, read_record, sealed
from cmae_ablate.report.frame import Cell
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.tracking.connection import UI_ADDRESS, connect
from cmae_ablate.tracking.run_tree import FINGERPRINT, KIND, SEED, VARIANT

if TYPE_CHECKING:
    from mlflow.entities import Run

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


def _root(uri: str) -> str:
    return redact(uri).rstrip("/") if uri.startswith("http") else UI_ADDRESS


def _kept(experiment: Experiment) -> dict[str, str]:
    try:
        record = read_record(experiment.folder / KEPT)
        if record["store"] != redact(experiment.places.tracking):
            return {}
        return {str(key): str(address) for key, address in record["runs"].items()}
    except (FileNotFoundError, DamagedError, KeyError, AttributeError):
        return {}


def _asked(experiment: Experiment, wanted: set[str]) -> dict[str, str] | None:
    """What MLflow says, kept for the next report; None where it is away."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    uri = experiment.places.tracking
    try:
        found = {}
        for run in _runs(uri, experiment.study.name):
            tags = run.data.tags
            key = _name(*(tags.get(tag, "") for tag in (VARIANT, SEED, FINGERPRINT)))
            if key in wanted:
                place = f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
                found[key] = f"{_root(uri)}/#/{place}"
    except (MlflowException, SQLAlchemyError, OSError):
        return None  # the tracker has said that the store is away; a report needs no links
    if experiment.folder.is_dir():
        write_atomically(experiment.folder / KEPT, sealed({"store": redact(uri), "runs": found}))
    return found


def _runs(uri: str, study: str) -> list[Run]:
    """Every cell's run, page by page."""
    client = connect(uri)
    experiment = client.get_experiment_by_name(study)
    runs: list[Run] = []
    token = None
    while experiment is not None:
        page = client.search_runs(
            [experiment.experiment_id], f"tags.`{KIND}` = 'seed'", max_results=1000, page_token=token
        )
        runs += page
        token = page.token
        if not token:
            break
    return runs
