"""Hour zero: one step of every trial, on the device and in the precision that it will be trained in.

On a GPU the steps are taken by a process of their own (`python -m cmae_ablate.runner.hour_zero`), which ends
with them: the process that starts workers opens no GPU, and an error of a GPU is the end of its process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cmae_ablate.components.loading import load_components
from cmae_ablate.errors import DivergedError, UserError
from cmae_ablate.runner.own_process import answer_of, in_one_line
from cmae_ablate.runtime import pick_device, set_threads
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.terminal import say_exactly
from cmae_ablate.training.model import smoke

PROGRAM = (sys.executable, "-m", __name__)


@dataclass(frozen=True)
class Rehearsal:
    """One step that is to be taken.

    Attributes:
        label: Of the variant.
        spec: Its trial.
        image_size: Side of the encoder's input in pixels.
    """

    label: str
    spec: TrialSpec
    image_size: int

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        return {"label": self.label, "tree": self.spec.to_tree(), "image_size": self.image_size}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Rehearsal:
        """The inverse of `to_json`."""
        return cls(record["label"], resolve(record["tree"]), record["image_size"])


def rehearse(steps: Sequence[Rehearsal], device: str) -> None:
    """Take every step, the first mistake ending it.

    Args:
        steps: What to take.
        device: `cpu` or `cuda`.

    Raises:
        UserError: A step cannot be taken; the message begins with the variant.
    """
    if device == "cuda":
        _in_a_process_of_its_own(steps)
        return
    set_threads(1)
    for step in steps:
        try:
            smoke(step.spec, step.image_size)
        except (UserError, DivergedError) as error:
            raise UserError(f"variant '{step.label}': {error}") from error


def _in_a_process_of_its_own(steps: Sequence[Rehearsal]) -> None:
    asked = [step.to_json() for step in steps]
    found = answer_of(PROGRAM, asked, "the first step on the GPU")
    if found:
        raise UserError(f"variant '{found['label']}': {found['error']}")


def _main() -> None:
    """Read steps as JSON, take them on the GPU, and write what is wrong, or null, as a line of JSON."""
    load_components()
    set_threads(1)
    device = pick_device("cuda")
    found = None
    for step in map(Rehearsal.from_json, json.load(sys.stdin)):
        try:
            smoke(step.spec, step.image_size, device)
        except Exception as error:
            found = {"label": step.label, "error": in_one_line(error, "one step on the GPU")}
            break
    say_exactly(json.dumps(found) + "\n")


if __name__ == "__main__":
    _main()
