"""What all models of a file share: keys and no others, strict values, and what is wrong in a user's words."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, WrapValidator, model_validator
from pydantic_core import InitErrorDetails

from cmae_ablate.components.registry import SLOTS
from cmae_ablate.errors import suggest
from cmae_ablate.study.settings import brief, no_component
from cmae_ablate.study.yaml_source import KeyPath, YamlOrigin

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_TAG = "<{}>"
_OURS = {
    "too_short": "{min_length} or more values are expected",
    "too_long": "{max_length} or fewer values are expected",
    "missing": "more values are expected",
}
"""By the type of pydantic's error: what its own words would say of tuples and items."""


class FileModel(BaseModel):
    """A mapping in a file; `called` is what an error message calls it."""

    model_config = ConfigDict(**STRICT, frozen=True, use_attribute_docstrings=True)
    called: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, value: Any) -> Any:
        """Before any value: a file that is no study is refused without looking at components."""
        known = cls.model_fields
        if not isinstance(value, dict):
            needed = ", ".join(key for key, field in known.items() if field.is_required())
            found = "nothing is given" if value is None else f"{brief(value)} has none"
            raise ValueError(
                f"{cls.called} is made of keys, and {found}; give {needed}, see studies/ for examples"
            )
        for key in value:
            if key not in known:
                raise at_key(key, f"{cls.called} has no such key; {suggest(key, list(known))}")
        for key, field in known.items():
            if field.is_required() and key not in value:
                raise at_key(key, "this key is missing; add it, see studies/ for examples")
        return value


def read_as(kind: Any, data: Any, origin: YamlOrigin) -> Any:
    """What stands in a file, as the type that it must be.

    Raises:
        UserError: It is none; the message names the place, what is wrong and what to do.
    """
    try:
        # As JSON, which has no other types than a file: 1 is no true, and '1' is no 1.
        return TypeAdapter(kind).validate_json(json.dumps(data))
    except ValidationError as error:
        path, message = complaint(error)
        raise origin.error(path, message) from error


def complaint(error: ValidationError) -> tuple[KeyPath, str]:
    """The first complaint: the path of the value below what was checked, and a sentence.

    Never `str(error)`, which repeats the whole input, nor words that only the library's users understand.
    """
    first = error.errors(include_url=False)[0]
    kind, loc, limits = first["type"], first["loc"], first.get("ctx", {})
    keys = [str(part) for part in loc if not is_tag(str(part))]
    if kind == "value_error":
        return tuple(keys), str(limits["error"])
    if kind == "extra_forbidden":
        return tuple(keys), _no_option(str(loc[-2]).strip(_TAG), keys[-1], first["input"])
    words = (
        _OURS[kind].format(**limits) if kind in _OURS else first["msg"].replace("Input should", "it should")
    )
    path = keys[:-1] if kind == "missing" else keys
    return tuple(path), f"{brief(first['input'])} does not fit: {words[:1].lower()}{words[1:]}"


def at_key(key: str, message: str) -> ValidationError:
    """An error for a validator to raise at a key below the value that it checks."""
    error = InitErrorDetails(type="value_error", loc=(key,), input=None, ctx={"error": ValueError(message)})
    return ValidationError.from_exception_data(message, [error])


def expected(words: str | Callable[[Any], str]) -> WrapValidator:
    """Annotation: whatever is wrong with a value, say this, at its own place."""

    def check(value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            raise ValueError(words if isinstance(words, str) else words(value)) from error

    return WrapValidator(check)


def expected_number(words: str) -> WrapValidator:
    """Annotation: whatever is wrong with a number, say this and what is there instead."""

    def said(value: Any) -> str:
        if isinstance(value, str) and _is_number(value):
            return f"{words}, not the text '{value}': quotes make it one; remove them"
        return f"{words}, not {brief(value)}"

    return expected(said)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def tag(name: str) -> str:
    """A union's tag, which pydantic names among the keys where it says what is wrong."""
    return _TAG.format(name)


def is_tag(part: str) -> bool:
    """Whether it is no key of the file."""
    return part.startswith(_TAG[0])


def _no_option(owner: str, option: str, value: Any) -> str:
    """What is wrong with an option of a component, which its tag names as `slot: name`."""
    slot, _, name = owner.partition(": ")
    if option == "name":
        return no_component(slot, value)
    components = [component for component in SLOTS[slot] if component.name == name]
    whose = f"'{name}' has no such option" if components else f"no {slot} has such an option"
    known = [each for component in components or SLOTS[slot] for each in component.options.model_fields]
    return f"{whose}; {suggest(option, list(dict.fromkeys(known)))}"
