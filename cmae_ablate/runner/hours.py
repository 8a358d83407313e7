"""Hours of a cell, from what it costs and from how fast this machine is at such work. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from cmae_ablate.components.protocols import LooksAgain
from cmae_ablate.data.arrays import ExpectedSize
from cmae_ablate.study.fingerprints import digest
from cmae_ablate.study.trial_spec import PROBING, TrialSpec
from cmae_ablate.training.flops import (
    ATTAINED,
    Cost,
    classifier_flops,
    encoder_passes,
    evaluation_flops,
    pretraining_flops,
)

MOST = 8
"""Kinds of work that are timed; the others are taken to be as fast as the one nearest in FLOPs."""
MOST_COMPILED = 2
"""The same of kinds that are compiled, which takes most of a minute each."""


@dataclass(frozen=True)
class Answers:
    """What a trial's components say of the work they will do.

    Attributes:
        passes: How often each evaluation takes all training images through the encoder, by label.
        classifiers: FLOPs of fitting each evaluation's classifier, a training image, by label.
        looks: Before how many epochs the crop strategy looks at all images.
    """

    passes: Mapping[str, int]
    classifiers: Mapping[str, float]
    looks: int


@dataclass(frozen=True)
class Estimate:
    """Hours, and what they rest on."""

    hours: float
    basis: str


@dataclass(frozen=True)
class Workload:
    """A variant, or a control, as far as its speed depends on it.

    Attributes:
        spec: The trial.
        size: Its data set's.
        cost: Its parameters and FLOPs.
        pretrains: False for a control that is evaluated without pretraining.
        answers: What its components say of the work they will do; None where they are to be asked.
    """

    spec: TrialSpec
    size: ExpectedSize
    cost: Cost
    pretrains: bool = True
    answers: Answers | None = None

    @property
    def image_size(self) -> int:
        """Side of the encoder's input in pixels."""
        return self.spec.training.image_size or self.size.image_size

    @property
    def kind(self) -> Hashable:
        """Equal for workloads whose steps cost the same: seeds, rates and epochs play no part."""
        tree = self.spec.to_tree()
        free = {"epochs", "base_lr", "min_lr", "warmup_epochs", "weight_decay", "beta1", "beta2", *PROBING}
        training = {name: value for name, value in tree["training"].items() if name not in free}
        kept = {**tree, "training": training, "dataset": self.size.image_size, "evaluations": None}
        return json.dumps(kept, sort_keys=True)


@dataclass(frozen=True)
class Speed:
    """What one workload reaches on this machine.

    Attributes:
        training: FLOP/s of the training step with its views and its optimiser.
        encoding: FLOP/s of encoding whole images.
        measured: False where it was guessed from the speed of large matrix products.
        compiling: Seconds that a cell compiles before its first step; 0 where nothing is compiled.
    """

    training: float
    encoding: float
    measured: bool
    compiling: float = 0.0


def ask(spec: TrialSpec, cost: Cost, num_classes: int) -> Answers:
    """Build a trial's evaluations and its crop strategy, and ask them."""
    from cmae_ablate.training.views import crop_to_ask

    crop = crop_to_ask(spec["crop"])
    looks = crop.refresh_epochs(spec.training.epochs) if isinstance(crop, LooksAgain) else ()
    passes = {label: encoder_passes(choice) for label, choice in spec.evaluations.items()}
    fits = {label: classifier_flops(cost, choice, num_classes) for label, choice in spec.evaluations.items()}
    return Answers(passes, fits, len(looks))


def kinds_to_time(workloads: Sequence[Workload]) -> list[Workload]:
    """A few of all kinds of work, spread over their FLOPs, in ascending order."""
    kinds: dict[Hashable, Workload] = {}
    for workload in sorted(workloads, key=lambda item: item.cost.flops_image):
        kinds.setdefault(workload.kind, workload)
    distinct = list(kinds.values())
    most = MOST_COMPILED if any(each.spec.training.compile for each in distinct) else MOST
    count = min(most, len(distinct))
    places = [round(index * (len(distinct) - 1) / max(1, count - 1)) for index in range(count)]
    return [distinct[place] for place in places]


def spread(
    workloads: Sequence[Workload], found: Mapping[Hashable, Speed], timed: Sequence[Workload]
) -> list[Speed]:
    """Each workload's speed: its kind's where that was timed, else that of the kind nearest in FLOPs.

    Args:
        workloads: All of them.
        found: Speeds by kind.
        timed: The kinds that were timed.
    """

    def nearest(workload: Workload) -> Speed:
        flops = workload.cost.flops_image
        return found[min(timed, key=lambda item: abs(item.cost.flops_image - flops)).kind]

    return [found.get(workload.kind) or nearest(workload) for workload in workloads]


def estimate(workload: Workload, speed: Speed, machine: str) -> Estimate:
    """Hours of one cell: pretraining, looks of the crop strategy, passes and fits of the evaluations."""
    spec, size, cost = workload.spec, workload.size, workload.cost
    answers = workload.answers or ask(spec, cost, size.classes)
    seconds = pretraining_flops(cost, spec, size.train) / speed.training if workload.pretrains else 0.0
    if workload.pretrains and not spec.is_pretrained:
        # Its own arithmetic is a twentieth of the pass through the encoder.
        seconds += answers.looks * size.train * cost.flops_encode / speed.encoding + speed.compiling
    seconds += sum(_evaluating(label, workload, answers, speed) for label in _costly(spec, answers))
    seconds += sum(_fitting(label, workload, answers, speed) for label in spec.evaluations)
    if workload.pretrains and not spec.is_pretrained and spec.training.probed:
        label = spec.training.probe_with
        probing = _evaluating(label, workload, answers, speed) + _fitting(label, workload, answers, speed)
        seconds += len(spec.training.probed) * probing
    how = "timed on noise for a moment" if speed.measured else f"unmeasured: FLOPs at {ATTAINED:.0%} of GEMM"
    return Estimate(seconds / 3600.0, f"{how} on {machine}")


def without_repeats(workloads: Sequence[Workload]) -> list[Workload]:
    """Of each workload, what the ones before it do not do already with the same seed.

    Variants that differ in their evaluations alone share their encoder, which is trained once, and each
    evaluation that they have in common, which is read once.
    """
    done: dict[str, set[str]] = {}
    left = []
    for workload in workloads:
        if not workload.pretrains:
            left.append(workload)
            continue
        spec = workload.spec
        encoder = spec.pretrain_fingerprint(digest(spec["dataset"].identity()))
        read = {label: digest(choice.identity()) for label, choice in spec.evaluations.items()}
        known = done.get(encoder, set())
        new = {label: spec.evaluations[label] for label in read if read[label] not in known}
        left.append(replace(workload, spec=replace(spec, evaluations=new), pretrains=encoder not in done))
        done.setdefault(encoder, set()).update(read.values())
    return left


def _evaluating(label: str, workload: Workload, answers: Answers, speed: Speed) -> float:
    """Seconds of one evaluation's passes through the encoder."""
    choice, size = workload.spec.evaluations[label], workload.size
    flops = evaluation_flops(workload.cost, choice, size.train, size.held_out, answers.passes[label])
    return flops / (speed.training if choice.trains_encoder else speed.encoding)


def _fitting(label: str, workload: Workload, answers: Answers, speed: Speed) -> float:
    """Seconds of fitting one evaluation's classifier, which is taken to be as fast as encoding."""
    return answers.classifiers[label] * workload.size.train / speed.encoding


def _costly(spec: TrialSpec, answers: Answers) -> list[str]:
    """The evaluations that pass images through the encoder: one pass serves all that read frozen features."""
    frozen = [
        label
        for label, choice in spec.evaluations.items()
        if not choice.trains_encoder and not answers.passes[label]
    ]
    return [label for label in spec.evaluations if label not in frozen[1:]]
