"""A trial as a value: resolved from a tree of plain settings, frozen, fingerprinted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cmae_ablate.components.registry import SLOTS, ComponentSpec, Registry
from cmae_ablate.errors import UserError, suggest
from cmae_ablate.files import MAX_WEIGHTS, check_regular, open_to_read
from cmae_ablate.study.settings import REQUIRED_SLOTS, SpecError, Tree, brief
from cmae_ablate.study.settings import Path as KeyPath


class Training(BaseModel):
    """How every variant is pretrained. Defaults are MAE's where MAE has one."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    epochs: Annotated[int, Field(ge=1)] = 100
    """Passes over the training images. Source: MAE, 800 or 1600; SDMAE, 300; here what a scale says."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Images a step, over all devices. Source: MAE, 4096; SDMAE, 64."""
    base_lr: Annotated[float, Field(gt=0)] = 1.5e-4
    """Learning rate at batch 256; scaled linearly. Source: MAE, 1.5e-4; SDMAE, 1e-3."""
    min_lr: Annotated[float, Field(ge=0)] = 0.0
    """Learning rate at the end of the cosine. Source: MAE, 0."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 40.0
    """Linear warm-up. Source: MAE and SDMAE, 40."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """AdamW; none on one-dimensional parameters. Source: MAE and SDMAE, 0.05."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """AdamW. Source: MAE, 0.9."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """AdamW. Source: MAE, 0.95."""
    grad_clip: Annotated[float, Field(ge=0)] = 0.0
    """Largest gradient norm; 0 clips nothing. Source: MAE clips nothing."""
    image_size: Annotated[int | None, Field(ge=8)] = None
    """Encoder input in pixels; null is the data's. Source: MAE and SDMAE, 224; here the data's."""
    num_views: Annotated[int, Field(ge=1, le=2)] = 1
    """Views of each image, if no objective needs more. Source: MAE, 1; SDMAE, 2."""
    reconstruct: Literal["first", "all"] = "first"
    """Views that the decoder reconstructs. Source: MAE has one view; SDMAE, `all`."""
    shared_mask: bool = False
    """Whether all views of an image hide the same patches. Source: MAE has one view; SDMAE, true."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """`bf16` is autocast; `tf32` is fp32 on a CPU. Source: MAE, fp16 autocast; here fp32, as most CPUs
    know no bf16."""
    threads: Annotated[int, Field(ge=1)] = 1
    """CPU threads a cell; they order floating-point sums. Source: ours."""
    compile: bool = False
    """torch.compile of the training step; off on CPU. Source: ours; MAE compiles nothing."""
    probe_epochs: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Epochs whose encoder is judged on validation images, once the training is over; the last one always
    is. Changes no weight. Source: ours."""
    probe_with: str = ""
    """The evaluation that judges them, by its label; empty is that of the study's metric. Source: ours."""

    @property
    def probed(self) -> tuple[int, ...]:
        """The epochs before the last one whose encoders are kept and judged, ascending."""
        return tuple(sorted({epoch for epoch in self.probe_epochs if epoch < self.epochs}))


PROBING = ("probe_epochs", "probe_with")
"""What of the training only looks at it: no part of any fingerprint."""
EVALUATED_WITH = ("image_size", "precision", "threads")
"""What of the training an evaluation depends on, too."""


@dataclass(frozen=True)
class Choice:
    """A component with all of its options filled in."""

    slot: str
    name: str
    version: int
    options: Mapping[str, Any] = field(hash=False)

    def build(self, *args: Any) -> Any:
        """Construct it; `args` are what its slot's Protocol says."""
        return self.component.build(self.options, *args)

    @property
    def component(self) -> ComponentSpec[Any]:
        """The registered component."""
        registry: Registry[Any] = SLOTS[self.slot]
        return registry[self.name]

    @property
    def title(self) -> str:
        """Its name; of a data set that may hold any images also their folder's: `folder flowers`."""
        place = self._role(self.component.place)
        return f"{self.name} {Path(place).name}" if place else self.name

    @property
    def control_of(self) -> str | None:
        """Of an evaluation: the name of the one whose control it is; None where it measures a pretraining."""
        return self.component.facts.control_of

    @property
    def trains_encoder(self) -> bool:
        """Of an evaluation: whether it trains an encoder's weights."""
        return self.component.facts.trains_encoder

    @property
    def epochs(self) -> int | None:
        """Of an evaluation: for how many epochs it trains; None where it does not say."""
        found: int | None = self._role(self.component.epochs)
        return found

    @property
    def warmup(self) -> float | None:
        """Epochs before its schedule begins; None where it has none."""
        found: float | None = self._role(self.component.warmup)
        return found

    @property
    def normalization(self) -> str:
        """Of a backbone: whose mean and deviation its weights expect, `imagenet` or `data`."""
        return str(self._role(self.component.normalization) or "data")

    def with_warmup(self, epochs: float) -> Choice:
        """The same with another warm-up, in the number type that its option has; itself without any."""
        name = self.component.warmup
        if name is None:
            return self
        kind = type(self.options[name])
        return replace(self, options={**self.options, name: kind(epochs)})

    def _role(self, name: str | None) -> Any:
        return None if name is None else self.options[name]

    def to_tree(self) -> Tree:
        """As a study file would write it."""
        return {"name": self.name, **self.options}


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

    def without_probes(self) -> TrialSpec:
        """The same trial, looked at when it is over and not before."""
        looked = {name: Training.model_fields[name].default for name in PROBING}
        return replace(self, training=self.training.model_copy(update=looked))

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
        content = {slot: _identity(choice) for slot, choice in self.components.items() if slot != "dataset"}
        return _digest(
            {
                "seed": self.seed,
                "data": data_digest,
                "components": content,
                "objectives": {name: _identity(choice) for name, choice in self.objectives.items()},
                "training": self.training.model_dump(mode="json", exclude=set(PROBING)),
            }
        )

    def fingerprint(self, data_digest: str) -> str:
        """Names the whole trial: its pretraining and its evaluations."""
        evaluations = {label: _identity(choice) for label, choice in self.evaluations.items()}
        return _digest({"pretrain": self.pretrain_fingerprint(data_digest), "evaluations": evaluations})

    def untrained_fingerprint(self, data_digest: str) -> str:
        """Names what the evaluations find without any pretraining: seed, backbone, evaluations, data."""
        return _digest(
            {
                "seed": self.seed,
                "data": data_digest,
                "backbone": _identity(self["backbone"]),
                "evaluations": {label: _identity(choice) for label, choice in self.evaluations.items()},
                "training": self.training.model_dump(mode="json", include=set(EVALUATED_WITH)),
            }
        )


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
    components["crop"] = _clip_schedule(components["crop"], training.epochs, "crop", notices)
    evaluations = {
        label: _clip_schedule(choice, choice.epochs, f"evaluations.{label}", notices)
        for label, choice in evaluations.items()
    }
    if training.batch_size == 1 and "contrastive" in objectives:
        raise SpecError(
            ("training", "batch_size"),
            "a batch of one image has nothing to contrast it with; set at least 2, or "
            "objectives.contrastive=none",
        )
    controls = {label: choice for label, choice in evaluations.items() if choice.control_of}
    measured = {label: choice for label, choice in evaluations.items() if label not in controls}
    return TrialSpec(seed, components, objectives, measured, training, controls, tuple(notices))


def _training(node: Tree) -> Training:
    try:
        return Training.model_validate_json(json.dumps(node))
    except (ValidationError, TypeError) as error:
        raise _spec_error(("training",), error, list(Training.model_fields)) from error


def _choice(slot: str, path: KeyPath, node: Tree) -> Choice:
    registry = SLOTS[slot]
    name = node["name"]
    if name not in registry:
        kind = slot.rsplit(".", maxsplit=1)[-1]
        raise SpecError((*path, "name"), f"no {kind} is called '{name}'; {suggest(name, registry.names)}")
    component = registry[name]
    try:
        options = component.validate({key: value for key, value in node.items() if key != "name"})
    except (ValidationError, TypeError) as error:
        raise _spec_error(path, error, list(component.options.model_fields), name) from error
    return Choice(slot, name, component.version, options)


def _spec_error(path: KeyPath, error: Exception, known: list[str], owner: str = "") -> SpecError:
    if not isinstance(error, ValidationError):
        return SpecError(path, f"a value is no plain number, word or list: {error}")
    # Only the first complaint, and never str(error): it repeats the whole input.
    first = error.errors(include_url=False, include_input=True)[0]
    place = (*path, *(str(key) for key in first["loc"][:1]))
    if first["type"] == "extra_forbidden":
        whose = f"'{owner}'" if owner else "training"
        return SpecError(place, f"{whose} has no such option; {suggest(place[-1], known)}")
    if first["type"] == "missing":
        return SpecError(place, f"'{owner}' needs this option; set {'.'.join(place)}")
    return SpecError(place, f"{brief(first['input'])} does not fit: {_lower(first['msg'])}")


def _clip_training(training: Training, notices: list[str]) -> Training:
    beyond = [epoch for epoch in training.probe_epochs if epoch > training.epochs]
    if beyond:
        kept = tuple(epoch for epoch in training.probe_epochs if epoch <= training.epochs)
        notices.append(
            f"training.probe_epochs {', '.join(map(str, beyond))} does not fit {training.epochs} epochs; "
            "left out"
        )
        training = training.model_copy(update={"probe_epochs": kept})
    if training.warmup_epochs < training.epochs:
        return training
    clipped = training.epochs / 2
    notices.append(
        f"training.warmup_epochs {training.warmup_epochs:g} does not fit {training.epochs} epochs; "
        f"clipped to {clipped:g}"
    )
    return training.model_copy(update={"warmup_epochs": clipped})


def _clip_schedule(choice: Choice, epochs: int | None, path: str, notices: list[str]) -> Choice:
    warmup = choice.warmup
    if epochs is None or warmup is None or warmup < epochs:
        return choice
    # At least the last epoch runs as scheduled after the warm-up.
    clipped = epochs - 1
    name = choice.component.warmup
    notices.append(f"{path}.{name} {warmup:g} does not fit {epochs} epochs; clipped to {clipped}")
    return choice.with_warmup(clipped)


def _identity(choice: Choice) -> Tree:
    options = dict(choice.options)
    for name in choice.component.files:
        options[name] = _file_digest(Path(options[name]))
    return {"name": choice.name, "version": choice.version, "options": options}


def _file_digest(path: Path) -> str:
    try:
        check_regular(path, MAX_WEIGHTS)
        state = path.stat()
        return _content_digest(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct the path") from error


@lru_cache(maxsize=64)
def _content_digest(path: Path, size: int, changed: int) -> str:
    with open_to_read(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(content: Tree) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
