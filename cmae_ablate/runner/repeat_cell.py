"""`run --cell`: one cell trained again from nothing, and its weights held against those recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from cmae_ablate.errors import UserError
from cmae_ablate.files import private_files
from cmae_ablate.runner.cell import CellContext
from cmae_ablate.runner.control_cells import run_any
from cmae_ablate.runner.experiment import controls_of
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.reporting import read_queue, settled
from cmae_ablate.runner.workers import make_places
from cmae_ablate.runtime import Runtime, pick_device
from cmae_ablate.terminal import say


@private_files()
def repeat_cell(options: Options, name: str, console: Console) -> int:
    """Train one cell again from nothing, and compare its weights with those recorded.

    Returns:
        0 when they are equal or none were recorded, else 1.

    Raises:
        UserError: The study has no such cell.
    """
    table = settled(options.begin(options.load(), console, measure=True))
    controls = controls_of(table)
    found = {
        f"{planned.variant}:{planned.seed}": (experiment, planned)
        for experiment in (controls, table)  # of two cells with one name the table's counts
        for planned in experiment.planned
    }
    if name not in found:
        raise UserError(
            f"--cell {name}: the study has no such cell; choose VARIANT:SEED from {', '.join(found)}"
        )
    experiment, planned = found[name]
    cell = experiment.cell(planned)
    make_places(table, controls)
    recorded = {status.cell.id: status.record for status in read_queue(experiment)}[planned.id]
    context = CellContext.of(experiment, cell.spec, Runtime(pick_device(options.device)))
    with TemporaryDirectory(prefix="cmae-ablate-") as folder:
        result = run_any(cell, replace(context, cache=Path(folder)))
    for metric, value in sorted(result.metrics.items()):
        say(f"{metric}: {value:.6g}", console)
    before = recorded.weights_sha256
    say(f"weights_sha256: {result.weights_sha256}", console)
    if not before:
        say("no result of this cell is recorded; nothing to compare with", console)
        return 0
    equal = before == result.weights_sha256
    say("equal to the recorded weights" if equal else f"recorded: {before}: NOT equal", console)
    return 0 if equal else 1
