"""Where each cell's run is found in a browser: asked once, and kept beside the study's report.

MLflow takes seconds to import. A report that is written again needs it only for cells that are new.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress

from rich.console import Console

from cmae_ablate.files import DamagedError, read_record, sealed, write_atomically
from cmae_ablate.queue import CellStatus
from cmae_ablate.report.frame import Cell
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.terminal import say
from cmae_ablate.tracking.tracker import Backend, CellId, Tracker

KEPT = ".run_links.json"
"""In the study's folder; what begins with a dot is no part of a report."""


def run_links(experiment: Experiment, statuses: Sequence[CellStatus]) -> dict[Cell, str]:
    """The address of each cell's run; none where what keeps them does not exist or is away.

    Args:
        experiment: The study.
        statuses: Its cells.
    """
    backend = experiment.places.backend
    if not backend.exists:
        return {}
    complete = {_key(_id(each)) for each in statuses if each.state == "COMPLETE"}
    known = _kept(experiment, backend)
    # Where MLflow is at hand, as at the end of a run, it is asked: runs may be others than before.
    if backend.is_at_hand or not complete <= set(known):
        asked = backend.links(experiment.study.name, [_id(each) for each in statuses])
        if asked is None:
            return {}
        known = {_key(cell): address for cell, address in asked.items()}
        _keep(experiment, backend, known)
    found = {_key(_id(each)): (each.cell.variant, each.cell.seed) for each in statuses}
    return {cell: known[key] for key, cell in found.items() if key in known}


def _id(status: CellStatus) -> CellId:
    return (status.cell.variant, status.cell.seed, status.cell.fingerprint)


def _key(cell: CellId) -> str:
    return json.dumps(list(map(str, cell)))


def _kept(experiment: Experiment, backend: Backend) -> dict[str, str]:
    try:
        record = read_record(experiment.folder / KEPT)
        if record["store"] != backend.shown:
            return {}
        # The folder may be a stranger's: what a reader of the page follows is a page of this store's.
        pages = f"{backend.pages}/"
        runs = {str(key): str(address) for key, address in record["runs"].items()}
        return {key: address for key, address in runs.items() if address.startswith(pages)}
    except (FileNotFoundError, DamagedError, KeyError, AttributeError):
        return {}


def _keep(experiment: Experiment, backend: Backend, runs: Mapping[str, str]) -> None:
    # Where only reading is allowed a report is read all the same, and asks again.
    with suppress(OSError):
        if experiment.folder.is_dir():
            write_atomically(experiment.folder / KEPT, sealed({"store": backend.shown, "runs": dict(runs)}))


def say_where(backend: Backend, tracker: Tracker, console: Console) -> None:
    """Print the command that shows a study's runs, and where a browser finds them."""
    address = tracker.address()
    lines = [f"runs: {backend.ui_command()}", f"      then open {address}"]
    if not address:
        waiting = "the same command makes up for them from queue and cache once it answers"
        lines = [f"runs: {backend.name} is away; {tracker.remedy() or waiting}"]
    for line in lines:
        say(line, console)
