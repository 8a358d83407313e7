"""`evaluate`: measure a checkpoint as a study would, without touching the study's cache."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from cmae_ablate.cli.targets import check_target, written
from cmae_ablate.cli.weights.source import Checkpoint, open_checkpoint, open_data
from cmae_ablate.errors import UserError
from cmae_ablate.files import write_atomically
from cmae_ablate.runner import evaluating
from cmae_ablate.runner.result_files import EvaluationRecord
from cmae_ablate.runtime import Runtime, pick_device, set_threads
from cmae_ablate.terminal import Column, say, say_table
from cmae_ablate.training.collapse import collapse_warning

SETTABLE = (("dataset",), ("evaluations",), ("training", "threads"), ("training", "precision"))


def evaluate_checkpoint(
    place: Path, settings: Sequence[str], device: str, out: Path | None, console: Console
) -> dict[str, float]:
    """Run a trial's evaluations on its weights, and say what came out.

    With the recorded data, evaluations and threads the numbers are those that the study recorded.

    Args:
        place: A checkpoint.
        settings: `PATH=VALUE` texts: `dataset`, `evaluations`, `training.threads`, `training.precision`.
        device: `auto`, `cpu` or `cuda`.
        out: JSON file to write.
        console: Where to say it.

    Returns:
        Metrics as `<evaluation>.<name>`.

    Raises:
        UserError: The checkpoint, a setting, the device or `out` is wrong.
    """
    is_replaced = out is not None and check_target(out, source=place)
    where = pick_device(device)
    checkpoint = open_checkpoint(place, settings, SETTABLE)
    spec = checkpoint.spec
    if not spec.evaluations:
        raise UserError(f"{place}: no evaluation is left; set one, as in --set evaluations.knn=knn")
    data = open_data(checkpoint, console)
    # The order of floating-point sums depends on threads, so they are part of the trial.
    set_threads(spec.training.threads)
    encoder = checkpoint.encoder.to(where)
    with TemporaryDirectory(prefix="cmae-ablate-") as aside:
        runtime = Runtime(where, spec.training.precision)
        found = evaluating.evaluate(spec, encoder, data, runtime, Path(aside))
    _show(found, f"{data.name}, digest {data.digest[:12]}", console)
    warning = collapse_warning(encoder, data, data.validation, where)
    if warning:
        say(f"warning: {warning}", console)
    metrics = {f"{label}.{name}": value for label, r in found.items() for name, value in r.metrics.items()}
    if out is not None:
        record = _record(checkpoint, data.name, data.digest, found, metrics)
        write_atomically(out, json.dumps({**record, "warning": warning}, indent=1).encode())
        say(written(out, is_replaced), console)
    return metrics


def _record(
    checkpoint: Checkpoint,
    data_name: str,
    data_digest: str,
    found: Mapping[str, EvaluationRecord],
    metrics: Mapping[str, float],
) -> dict[str, object]:
    tree = checkpoint.spec.to_tree()
    return {
        "checkpoint": str(checkpoint.place),
        "weights_sha256": checkpoint.sha256,
        "seed": checkpoint.spec.seed,
        "data": {"name": data_name, "digest": data_digest, "dataset": tree["dataset"]},
        "evaluations": tree["evaluations"],
        "metrics": dict(metrics),
        "protocols": {label: result.protocol for label, result in found.items()},
        "chosen": {label: result.chosen for label, result in found.items()},
    }


def _show(found: Mapping[str, EvaluationRecord], data: str, console: Console) -> None:
    rows = [
        (f"{label}.{name}", f"{value:#.4g}")
        for label, result in found.items()
        for name, value in result.metrics.items()
    ]
    say_table(("metric", Column("value", is_number=True)), rows, console, title=data)
    for label, result in found.items():
        say(f"{label}: {result.protocol}", console)
