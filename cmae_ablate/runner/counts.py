"""What is counted of a trial before it is trained, kept from one plan to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cmae_ablate.runner.hours import Answers, ask
from cmae_ablate.runner.kept import Kept
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.flops import Cost

_FREE = ("base_lr", "min_lr", "weight_decay", "beta1", "beta2", "grad_clip", "threads")
"""Settings of the training that no count depends on."""


@dataclass(frozen=True)
class Counts:
    """What a trial costs, and what its components say of their work."""

    cost: Cost
    answers: Answers

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Counts:
        """The inverse of `dataclasses.asdict`."""
        return cls(Cost(**record["cost"]), Answers(**record["answers"]))


def count(spec: TrialSpec, image_size: int, num_classes: int, kept: Kept) -> Counts:
    """Count a trial, or take what an earlier plan has counted.

    Args:
        spec: The trial.
        image_size: Side of the encoder's input in pixels.
        num_classes: Of its data.
        kept: What earlier plans have found.

    Raises:
        UserError: The parts do not fit each other or the image.
    """
    key = [_identity(spec), image_size, num_classes]
    known = kept.find("counts", key)
    if known is not None:
        return Counts.from_json(known)
    from cmae_ablate.training.cost import measure

    cost = measure(spec, image_size)
    found = Counts(cost, ask(spec, cost, num_classes))
    if not spec.is_pretrained:  # a file's content decides, and is not looked at for a plan
        kept.keep("counts", key, asdict(found))
    return found


def _identity(spec: TrialSpec) -> dict[str, Any]:
    tree = spec.to_tree()
    training = {name: value for name, value in tree["training"].items() if name not in _FREE}
    evaluations = {label: choice.to_tree() for label, choice in spec.evaluations.items()}
    return {**tree, "training": training, "evaluations": evaluations}
