"""Every key of a trial and the type of what may be put there, as files and levels change it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeAliasType

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.errors import suggest
from cmae_ablate.study.component_types import COMPONENT, Kind, called, option_type, slot_types
from cmae_ablate.study.file_model import STRICT, at_key
from cmae_ablate.study.settings import GROUPS, SpecError, brief, changes, component_path, slot_of
from cmae_ablate.study.training_settings import Training
from cmae_ablate.study.yaml_source import KeyPath

ANY = "LABEL"
"""In a path: the label of an evaluation, which is the file's to choose."""
_MEANING = {
    "": "Changes to a trial: its keys, which may be dotted (training.epochs).",
    "dataset": "The images that encoders are pretrained and measured on.",
    "backbone": "The encoder, a vision transformer.",
    "masking": "Which patches are hidden.",
    "decoder": "What predicts the hidden patches.",
    "target": "What the decoder must predict.",
    "crop": "Where each training image is cropped.",
    "augmentation": "What happens to the pixels of a crop.",
    "objectives": "Further tasks for the encoder.",
    "objectives.contrastive": "A task that contrasts the views of an image.",
    "objectives.position": "A task that predicts where tokens stand.",
    "objectives.uniformity": "A task that keeps the features of different images apart.",
    "training": "How every variant is pretrained.",
    "evaluations": "What measures the encoder, each by a label of your own or simply by its name.",
    f"evaluations.{ANY}": "One evaluation. Its label is its name unless that is given.",
}


def type_at(path: KeyPath) -> Kind:
    """The type of what a change may put at `path` of a trial.

    Raises:
        SpecError: A trial has no such key.
    """
    load_components()
    list(changes(path, {}))  # says so where the path leads nowhere
    if path in GROUPS:
        return _group(path)
    place = component_path(path) or path[:1]
    types, option = _types_below(place), ".".join(path[len(place) :])
    if option not in types:
        whose = slot_of(place) or place[0]
        known = [name for name in types if name != COMPONENT]
        raise SpecError(path, f"no {whose} has such an option; {suggest(option, known)}")
    return types[option]


def trial_paths() -> Iterator[KeyPath]:
    """Every key of a trial, with `ANY` where an evaluation's label stands."""
    load_components()
    yield from (path for path in GROUPS if path)
    slots = [("evaluations", ANY) if slot == "evaluations" else tuple(slot.split(".")) for slot in SLOTS]
    for place in [("training",), *slots]:
        for option in _types_below(place):
            yield place if option == COMPONENT else (*place, option)


def pattern_of(dotted: str) -> str:
    """The regular expression of a dotted path with `ANY` in it."""
    return f"^{dotted.replace('.', '[.]').replace(ANY, '[^.]+')}$"


def check_values(kind: Kind, values: Mapping[str, Any]) -> None:
    """Check that each value is one of `kind`.

    Raises:
        ValidationError: At the first that is not.
    """
    # As JSON: strict about types ('8' is no integer), yet a list may fill a tuple.
    _adapter(kind).validate_json(json.dumps(values))


def schema_of(kind: Kind, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    """The JSON Schema of `kind`, for that of a type with values of this kind."""
    # Within a mapping: of a type that stands alone the handler would not see what is annotated.
    found: JsonSchemaValue = handler(_adapter(kind).core_schema)["additionalProperties"]
    return found


@dataclass(frozen=True)
class Settings:
    """Annotation: a mapping of settings of a trial, whose keys may be dotted.

    Attributes:
        below: Where in the trial they are.
        kept: Keys that cannot be set here, with the reason.
        of: Makes the type of what stands here out of a setting's own.
        empty: What is said where there is no setting; otherwise there need be none.
    """

    below: KeyPath = ()
    kept: tuple[tuple[str, str], ...] = ()
    of: Callable[[Kind], Kind] = lambda kind: kind
    empty: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"a mapping of settings is expected, not {brief(value)}")
        if self.empty and not value:
            raise ValueError(self.empty)
        for key, setting in value.items():
            path = (*self.below, *key.split("."))
            reason = dict(self.kept).get(path[0])
            if reason is not None:
                raise at_key(key, f"{reason}; remove this")
            try:
                kind = type_at(path)
            except SpecError as error:
                raise at_key(key, error.message) from error
            check_values(self.of(kind), {key: setting})
        return value

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        start = len(self.below)
        properties: JsonSchemaValue = {}
        patterns: JsonSchemaValue = {}
        for path in trial_paths():
            if path[:start] == self.below != path and path[0] not in dict(self.kept):
                name, found = ".".join(path[start:]), schema_of(self.of(type_at(path)), handler)
                if ANY in path:
                    patterns[pattern_of(name)] = found
                else:
                    properties[name] = found
        schema: JsonSchemaValue = {"type": "object", "description": _MEANING[".".join(self.below)]}
        schema |= {"properties": properties, "additionalProperties": False}
        schema |= {"patternProperties": patterns} if patterns else {}
        return schema | ({"minProperties": 1} if self.empty else {})


Changes = TypeAliasType("Changes", Annotated[dict[str, Any], Settings()])
"""What a scale, a study's `set` and a level of several keys are."""


@cache
def _adapter(kind: Kind) -> TypeAdapter[dict[str, Any]]:
    return TypeAdapter(dict[str, kind], config=STRICT)


@cache
def _group(path: KeyPath) -> Kind:
    return called(".".join(path), Annotated[dict[str, Any], Settings(path)]) if path else Changes


def _types_below(place: KeyPath) -> dict[str, Kind]:
    slot = slot_of(place)
    if slot is None:
        return _training_types()
    dotted = f"evaluations.{ANY}" if slot == "evaluations" else ".".join(place)
    return slot_types(slot, dotted, tuple(SLOTS[slot]), _MEANING.get(dotted, slot))


@cache
def _training_types() -> dict[str, Kind]:
    return {
        name: called(f"training.{name}", option_type([field], " ".join((field.description or "").split())))
        for name, field in Training.model_fields.items()
    }
