"""How long a training step of a trial takes, by a short training of it.

On a GPU it is timed by a process of its own (`python -m cmae_ablate.runner.step_seconds`): see `own_process`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import UserError
from cmae_ablate.runner.own_process import answer_of, in_one_line
from cmae_ablate.runtime import Runtime, pick_device, set_threads
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.terminal import say_exactly

WARM_STEPS, TIMED_STEPS, TIMED_ROWS = 3, 12, 3
PROGRAM = (sys.executable, "-m", __name__)


def seconds_per_step(label: str, spec: TrialSpec, data: DataArrays, runtime: Runtime) -> float:
    """The median step of a short training, with its views.

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
    from cmae_ablate.runner.step_timer import Sample, time_steps
    from cmae_ablate.training.cost import measure
    from cmae_ablate.training.loop import image_size_of

    set_threads(spec.training.threads)
    told = replace(runtime, precision=spec.training.precision, compile=spec.training.compile)
    num_views = measure(spec, image_size_of(spec, data)).num_views
    sample = Sample(WARM_STEPS, TIMED_STEPS, TIMED_STEPS, TIMED_ROWS)
    return time_steps(spec, data, told, num_views, sample).seconds


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
