"""How long a training step of a trial takes, by a short training of it.

On a GPU it is timed by a process of its own (`python -m cmae_ablate.runner.step_seconds`): see `own_process`.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import Interrupted, UserError
from cmae_ablate.runner.own_process import answer_of, in_one_line
from cmae_ablate.runtime import Runtime, pick_device, set_threads
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.terminal import say_exactly

WARM_STEPS, TIMED_STEPS = 3, 12
PROGRAM = (sys.executable, "-m", __name__)


def seconds_per_step(label: str, spec: TrialSpec, data: DataArrays, runtime: Runtime) -> float:
    """The median step of a short training.

    Args:
        label: Of the variant.
        spec: Its trial.
        data: Its prepared data.
        runtime: Where to measure; precision and compilation are the trial's own.

    Raises:
        UserError: The trial cannot run.
    """
    if runtime.device.type != "cuda":
        try:
            return _timed(spec, data, runtime)
        except UserError as error:
            raise UserError(f"variant '{label}': {error}") from error
    question = {"tree": spec.to_tree(), "seed": spec.seed, "index": runtime.device.index or 0}
    found = answer_of(PROGRAM, question, f"variant '{label}': timing its steps on the GPU")
    if "error" in found:
        raise UserError(f"variant '{label}': {found['error']}")
    return float(found["seconds"])


def _timed(spec: TrialSpec, data: DataArrays, runtime: Runtime) -> float:
    """Without the first steps, which warm caches up."""
    import torch

    from cmae_ablate.training.loop import Hooks, pretrain
    from cmae_ablate.training.views import steps_per_epoch

    set_threads(spec.training.threads)
    told = replace(runtime, precision=spec.training.precision, compile=spec.training.compile)
    times: list[float] = []

    def on_step(done: int, total: int) -> None:
        if runtime.device.type == "cuda":
            torch.cuda.synchronize(runtime.device)
        times.append(time.perf_counter())

    wanted = WARM_STEPS + TIMED_STEPS + 1
    # Enough epochs for as many. What an epoch's end costs lies between two steps: the median drops it.
    enough = -(-wanted // steps_per_epoch(len(data.train.labels), spec.training.batch_size)) + 1
    long_enough = spec.training.model_copy(update={"epochs": max(spec.training.epochs, enough)})
    hooks = Hooks(on_step=on_step, should_stop=lambda: len(times) >= wanted)
    with TemporaryDirectory(prefix="cmae-ablate-") as folder, suppress(Interrupted):
        pretrain(replace(spec, training=long_enough), data, told, Path(folder), hooks)
    gaps = [
        after - before for before, after in zip(times[WARM_STEPS:], times[WARM_STEPS + 1 :], strict=False)
    ]
    return statistics.median(gaps)


def _main() -> None:
    """Read a trial as JSON, time it on the GPU, and write the seconds, or what is wrong, as JSON."""
    import torch

    from cmae_ablate.components.loading import load_components

    load_components()
    asked = json.load(sys.stdin)
    device = pick_device("cuda")
    # Of torchrun's ranks each computes on a GPU of its own number.
    runtime = Runtime(torch.device(device.type, asked["index"]) if asked["index"] else device)
    found: dict[str, object]
    try:
        spec = resolve(asked["tree"], asked["seed"])
        found = {"seconds": _timed(spec, spec["dataset"].prepare(), runtime)}
    except Exception as error:
        found = {"error": in_one_line(error, "a step on the GPU")}
    say_exactly(json.dumps(found) + "\n")


if __name__ == "__main__":
    _main()
