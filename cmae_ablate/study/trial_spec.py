"""A trial as a value: resolved from a tree of plain settings, frozen, fingerprinted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from cmae_ablate.components.registry import SLOTS
from cmae_ablate.errors import suggest
from cmae_ablate.report.wording import counted
from cmae_ablate.study.choice import Choice
from cmae_ablate.study.file_model import complaint
from cmae_ablate.study.fingerprints import digest
from cmae_ablate.study.settings import REQUIRED_SLOTS, SpecError, Tree, no_component
from cmae_ablate.study.training_settings import EVALUATED_WITH, PROBING, Training
from cmae_ablate.study.yaml_source import KeyPath

__all__ = ["EVALUATED_WITH", "PROBING", "Training", "TrialSpec", "resolve"]

_AMONG_IMAGES = {"contrastive", "uniformity"}
"""Objectives that compare the images of a batch."""


@dataclass(frozen=True)
class TrialSpec:
    """All that decides one trial's result, and nothing else.

    Attributes:
        seed: Source of every random stream.
        components: The required slots, by slot.
        objectives: Built objectives by short slot name, such as `contrastive`; what is off is absent.
        evaluations: By label; all of them measure the pretrained encoder.
        training: Optimisation.
        control_evaluations: Those of the study that do not depend on the pretraining, by label; no part of
            the fingerprint.
        notices: What resolution changed and the user should hear; no part of the fingerprint.
    """

    seed: int
    components: Mapping[str, Choice] = field(hash=False)
    objectives: Mapping[str, Choice] = field(hash=False)
    evaluations: Mapping[str, Choice] = field(hash=False)
    training: Training
    control_evaluations: Mapping[str, Choice] = field(default_factory=dict, hash=False)
    notices: tuple[str, ...] = field(default=(), compare=False)

    def __getitem__(self, slot: str) -> Choice:
        return self.components[slot]

    @property
    def is_pretrained(self) -> bool:
        """Whether the encoder comes from a file and is evaluated as it is."""
        return bool(self["backbone"].component.files)

    @property
    def versions(self) -> dict[str, int]:
        """The version of each component that the pretraining uses, by slot and name: `masking random`."""
        chosen = {**self.components, **{f"objectives.{name}": c for name, c in self.objectives.items()}}
        return {f"{slot} {each.name}": each.version for slot, each in chosen.items() if slot != "dataset"}

    def without_probes(self) -> TrialSpec:
        """The same trial, looked at when it is over and not before."""
        looked = {name: Training.model_fields[name].default for name in PROBING}
        return replace(self, training=self.training.model_copy(update=looked))

    def without_first_look(self) -> TrialSpec:
        """The same trial, for a few steps of it: its crop strategy looks at no images before the first."""
        return replace(self, components={**self.components, "crop": self["crop"].with_warmup(1)})

    def with_seed(self, seed: int) -> TrialSpec:
        """The same trial with other random streams."""
        return replace(self, seed=seed)

    def to_tree(self) -> Tree:
        """The resolved configuration as plain data, as a study file would write it."""
        return {
            **{slot: choice.to_tree() for slot, choice in self.components.items()},
            "objectives": {name: choice.to_tree() for name, choice in self.objectives.items()},
            "training": self.training.model_dump(mode="json"),
            "evaluations": {
                label: choice.to_tree()
                for label, choice in {**self.evaluations, **self.control_evaluations}.items()
            },
        }

    def pretrain_fingerprint(self, data_digest: str) -> str:
        """Names the pretrained weights: seed, components with versions, training, data by content."""
        content = {slot: choice.identity() for slot, choice in self.components.items() if slot != "dataset"}
        return digest(
            {
                "seed": self.seed,
                "data": data_digest,
                "components": content,
                "objectives": {name: choice.identity() for name, choice in self.objectives.items()},
                "training": self.training.model_dump(mode="json", exclude=set(PROBING)),
            }
        )

    def fingerprint(self, data_digest: str) -> str:
        """Names the whole trial: its pretraining and its evaluations."""
        evaluations = {label: choice.identity() for label, choice in self.evaluations.items()}
        return digest({"pretrain": self.pretrain_fingerprint(data_digest), "evaluations": evaluations})

    def untrained_fingerprint(self, data_digest: str) -> str:
        """Names what the evaluations find without any pretraining: seed, backbone, evaluations, data."""
        evaluations = {label: choice.identity() for label, choice in self.evaluations.items()}
        return digest({**self.untrained_identity(data_digest), "evaluations": evaluations})

    def untrained_identity(self, data_digest: str) -> Tree:
        """All that an evaluation of the untrained encoder depends on, beside the evaluation itself."""
        return {
            **self.pixel_identity(data_digest),
            "backbone": self["backbone"].identity(),
            "training": self.training.model_dump(mode="json", include=set(EVALUATED_WITH)),
        }

    def pixel_identity(self, data_digest: str) -> Tree:
        """The same of an evaluation of the pixels themselves, which are read at the data's own size."""
        run_with = self.training.model_dump(mode="json", include=set(EVALUATED_WITH) - {"image_size"})
        return {"seed": self.seed, "data": data_digest, "training": run_with}


def resolve(tree: Tree, seed: int = 0) -> TrialSpec:
    """Fill in every default and check every setting.

    Raises:
        SpecError: A component or option does not exist, has the wrong type, or is out of range.
    """
    notices: list[str] = []
    training = _clip_training(_training(tree.get("training", {})), notices)
    components = {slot: _choice(slot, (slot,), tree[slot]) for slot in REQUIRED_SLOTS}
    objectives = {
        name: _choice(f"objectives.{name}", ("objectives", name), node)
        for name, node in sorted(tree["objectives"].items())
        if node["name"] != "none"
    }
    evaluations = {
        label: _choice("evaluations", ("evaluations", label), node)
        for label, node in tree["evaluations"].items()
        if node["name"] != "none"
    }
    crop = components["crop"].scheduled_for(training.epochs)
    components["crop"] = _clip_schedule(crop, training.epochs, "crop", notices)
    evaluations = {
        label: _clip_schedule(choice, choice.epochs, f"evaluations.{label}", notices)
        for label, choice in evaluations.items()
    }
    for name in sorted(_AMONG_IMAGES & set(objectives)):
        if training.batch_size == 1:
            raise SpecError(
                ("training", "batch_size"),
                "a batch of one image has nothing to contrast it with; set at least 2, or "
                f"objectives.{name}=none",
            )
    controls = {label: choice for label, choice in evaluations.items() if choice.control_of}
    measured = {label: choice for label, choice in evaluations.items() if label not in controls}
    return TrialSpec(seed, components, objectives, measured, training, controls, tuple(notices))


def _training(node: Tree) -> Training:
    try:
        return Training.model_validate_json(json.dumps(node))
    except (ValidationError, TypeError) as error:
        raise _spec_error(("training",), error, list(Training.model_fields), "training") from error


def _choice(slot: str, path: KeyPath, node: Tree) -> Choice:
    registry = SLOTS[slot]
    name = node["name"]
    if name not in registry:
        raise SpecError((*path, "name"), no_component(slot, name))
    component = registry[name]
    try:
        options = component.validate({key: value for key, value in node.items() if key != "name"})
    except (ValidationError, TypeError) as error:
        raise _spec_error(path, error, list(component.options.model_fields), f"'{name}'") from error
    return Choice(slot, name, component.version, options)


def _spec_error(path: KeyPath, error: Exception, known: list[str], owner: str) -> SpecError:
    if not isinstance(error, ValidationError):
        return SpecError(path, f"a value is no plain number, word or list: {error}")
    first = error.errors(include_url=False)[0]
    place = (*path, *(str(key) for key in first["loc"][:1]))
    if first["type"] == "extra_forbidden":
        return SpecError(place, f"{owner} has no such option; {suggest(place[-1], known)}")
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return SpecError(place, f"{owner} needs this option; set {'.'.join(place)}")
    below, message = complaint(error)
    return SpecError((*path, *below), message)


def _clip_training(training: Training, notices: list[str]) -> Training:
    beyond = [epoch for epoch in training.probe_epochs if epoch > training.epochs]
    if beyond:
        kept = tuple(epoch for epoch in training.probe_epochs if epoch <= training.epochs)
        notices.append(
            f"training.probe_epochs {', '.join(map(str, beyond))} does not fit "
            f"{counted(training.epochs, 'epoch')}; left out"
        )
        training = training.model_copy(update={"probe_epochs": kept})
    if training.warmup_epochs < training.epochs:
        return training
    clipped = training.epochs / 2
    notices.append(
        f"training.warmup_epochs {training.warmup_epochs:g} does not fit "
        f"{counted(training.epochs, 'epoch')}; clipped to {clipped:g}"
    )
    return training.model_copy(update={"warmup_epochs": clipped})


def _clip_schedule(choice: Choice, epochs: int | None, path: str, notices: list[str]) -> Choice:
    warmup = choice.warmup
    if epochs is None or warmup is None or warmup < epochs:
        return choice
    # At least the last epoch runs as scheduled after the warm-up.
    clipped = epochs - 1
    name = choice.component.warmup
    notices.append(f"{path}.{name} {warmup:g} does not fit {counted(epochs, 'epoch')}; clipped to {clipped}")
    return choice.with_warmup(clipped)
