"""An option's type as JSON, and back: what a component's signature says, without the component.

Only what reads back exactly is written: numbers, words, choices, tuples and lists of them, pydantic's limits,
and validators that are functions with a name. Of any other type `NotPlainError` is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import AfterValidator, Field
from pydantic.fields import FieldInfo

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Fields = Mapping[str, tuple[Any, Any]]
"""Each option's type and default; `...` where it has none."""
Find = Callable[[str, str], Any]
"""Finds a function by its module and its name there."""

_PLAIN: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool, "null": NoneType}
_ALIASES: dict[str, Any] = {"null": None}
_OF_PARTS: dict[str, tuple[Any, ...]] = {"either": (Union, UnionType), "list": (list,), "tuple": (tuple,)}
_LIMITS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length")


class NotPlainError(Exception):
    """A type or a default that JSON does not give back as it was."""


def fields_as_json(fields: Fields) -> dict[str, JSON]:
    """The options of a component, with their types and defaults.

    Args:
        fields: Each option's type and default; `...` where it has none.

    Raises:
        NotPlainError: An option's type or default cannot be written.
    """
    found: dict[str, JSON] = {}
    for name, (annotation, default) in fields.items():
        record: dict[str, JSON] = {"type": as_json(annotation)}
        if default is not ...:
            record["default"] = _default_as_json(default)
        found[name] = record
    return found


def fields_from_json(record: Mapping[str, Any], find: Find) -> Fields:
    """The inverse of `fields_as_json`.

    Args:
        record: As `fields_as_json` wrote it.
        find: Finds validators.
    """
    return {
        name: (
            from_json(each["type"], find),
            _default_from_json(each["default"]) if "default" in each else ...,
        )
        for name, each in record.items()
    }


def as_json(annotation: Any) -> JSON:
    """A type as JSON.

    Raises:
        NotPlainError: It is none of those that read back exactly.
    """
    plain = next((name for name, kind in _PLAIN.items() if annotation in (kind, _ALIASES.get(name))), None)
    if plain is not None:
        return plain
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return {"of": as_json(parts[0]), "with": [_extra_as_json(extra) for extra in parts[1:]]}
    if origin is Literal and all(type(word) in _PLAIN.values() for word in parts):
        return {"choice": list(parts)}
    if origin is tuple and len(parts) == 2 and parts[1] is Ellipsis:
        return {"tuple": as_json(parts[0])}
    for name, origins in _OF_PARTS.items():
        if origin in origins and parts:
            return {name: [as_json(part) for part in parts]}
    raise NotPlainError(f"the type {annotation!r}")


def from_json(record: JSON, find: Find) -> Any:
    """The inverse of `as_json`."""
    if isinstance(record, str):
        return _PLAIN[record]
    assert isinstance(record, dict)
    (kind, inner), *_ = record.items()
    if kind == "of":
        extras = record["with"]
        assert isinstance(extras, list)
        return Annotated[from_json(inner, find), *(_extra_from_json(extra, find) for extra in extras)]
    a_tuple: Any = tuple  # the types are made at run time
    a_list: Any = list
    if not isinstance(inner, list):
        return a_tuple[from_json(inner, find), ...]
    if kind == "choice":
        return Literal[*inner]
    parts = [from_json(part, find) for part in inner]
    if kind == "either":
        return reduce(or_, parts)
    return a_tuple[*parts] if kind == "tuple" else a_list[parts[0]]


def _extra_as_json(extra: Any) -> JSON:
    if isinstance(extra, AfterValidator):
        return {"module": extra.func.__module__, "function": extra.func.__qualname__}
    if isinstance(extra, FieldInfo):
        limits = {
            name: getattr(each, name) for each in extra.metadata for name in _LIMITS if hasattr(each, name)
        }
        # Whatever else the field says, such as a description, would be lost.
        if limits and repr(Field(**limits)) == repr(extra):
            return limits
    raise NotPlainError(f"the limit {extra!r}")


def _extra_from_json(record: JSON, find: Find) -> Any:
    assert isinstance(record, dict)
    if "function" in record:
        return AfterValidator(find(str(record["module"]), str(record["function"])))
    limits: dict[str, Any] = {**record}
    return Field(**limits)


def _default_as_json(value: Any) -> JSON:
    if isinstance(value, tuple):
        return {"tuple": [_default_as_json(each) for each in value]}
    if isinstance(value, list):
        return {"list": [_default_as_json(each) for each in value]}
    if type(value) in (NoneType, bool, int, float, str):
        found: JSON = value
        return found
    raise NotPlainError(f"the default {value!r}")


def _default_from_json(record: JSON) -> Any:
    if not isinstance(record, dict):
        return record
    (kind, inner), *_ = record.items()
    assert isinstance(inner, list)
    values = [_default_from_json(each) for each in inner]
    return tuple(values) if kind == "tuple" else values
