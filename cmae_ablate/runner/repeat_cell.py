"""`run --cell`: one cell trained again from nothing, and held against what is recorded of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from cmae_ablate.errors import UserError
from cmae_ablate.files import private_files
from cmae_ablate.report.cell_record import CellRecord
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

    Of a control without weights the metrics are compared.

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
    return _compared(result, recorded, console)


def _compared(result: CellRecord, recorded: CellRecord, console: Console) -> int:
    """Say whether the cell is the one recorded: by its weights or, of a control without any, its metrics."""
    if result.weights_sha256:
        say(f"weights_sha256: {result.weights_sha256}", console)
        what, is_known = "weights", bool(recorded.weights_sha256)
        equal, other = result.weights_sha256 == recorded.weights_sha256, recorded.weights_sha256
    else:
        say("weights_sha256: none, as nothing is trained; the metrics are compared", console)
        now, before = _measured(result), _measured(recorded)
        what, is_known, equal = "metrics", bool(before), before == now
        differing = (name for name in sorted({*now, *before}) if now.get(name) != before.get(name))
        other = ", ".join(f"{name} {before.get(name, 'missing')}" for name in differing)
    if not is_known:
        say("no result of this cell is recorded; nothing to compare with", console)
        return 0
    say(f"equal to the recorded {what}" if equal else f"recorded: {other}: NOT equal", console)
    return 0 if equal else 1


def _measured(record: CellRecord) -> dict[str, str]:
    """The metrics as they are said, without what depends on the machine: seconds and memory."""
    return {
        name: f"{value:.6g}"
        for name, value in record.metrics.items()
        if not name.startswith(("seconds.", "memory."))
    }
