"""What may stand for a component in a file, and for each of its options, as types made from its signature.

A component that is named has the options of that component. One that is not is the one already there,
which the file alone does not say: it has the options of any in its slot. What is left out stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Required, TypeAlias, Union

from pydantic import Discriminator, Field, Tag
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typing_extensions import TypeAliasType, TypedDict

from cmae_ablate.components.registry import SLOTS, ComponentSpec, option_docs
from cmae_ablate.study.file_model import STRICT, expected, tag
from cmae_ablate.study.settings import brief, no_component

_OFF = ("none", None, False)
"""What a name is of a component that is off."""
COMPONENT = ""
"""In the types of a slot: the key of the component itself."""
Kind: TypeAlias = Any
"""A type that is made at run time, which no checker of types can know."""


def one_of_kinds(choose: Callable[[Any], str], members: Mapping[str, Kind]) -> Kind:
    """The union of types by name, where `choose` says which of them a value is to be."""
    return Annotated[_union(members), Discriminator(lambda value: tag(choose(value)))]


def option_type(fields: Sequence[FieldInfo], description: str) -> Kind:
    """What one of the fields takes, with a default where all have the same."""
    different = {repr((field.annotation, field.metadata)): field for field in fields}
    types = [Annotated[field.annotation, *field.metadata, Field()] for field in different.values()]
    kind = types[0] if len(types) == 1 else _union({str(index): each for index, each in enumerate(types)})
    defaults = [field.default for field in fields]
    is_one = defaults.count(defaults[0]) == len(defaults) and defaults[0] is not PydanticUndefined
    extra = {"default": defaults[0]} if is_one else {}
    return Annotated[kind, Field(description=description, json_schema_extra=extra)]


def called(name: str, kind: Kind) -> Kind:
    """The type with a name of its own in a schema, where all that use it refer to it."""
    return TypeAliasType(name.replace(".", "-"), kind)


def _union(members: Mapping[str, Kind]) -> Kind:
    """One of the types; what is wrong with one that a value fits none of has a tag among its keys."""
    return Union[tuple(Annotated[member, Tag(tag(name))] for name, member in members.items())]  # noqa: UP007


@cache
def slot_types(
    slot: str, place: str, components: tuple[ComponentSpec[Any], ...], description: str
) -> dict[str, Kind]:
    """The types of what may stand at a place: of the component itself, and of each of its options.

    Args:
        slot: The components' slot.
        place: Where in a trial, dotted.
        components: All that the slot has now; others may register later.
        description: What the slot is for.
    """
    fields: dict[str, list[FieldInfo]] = {}
    docs: dict[str, str] = {}
    for component in components:
        documented = option_docs(component)
        for option, field in component.options.model_fields.items():
            fields.setdefault(option, []).append(field)
            docs.setdefault(option, documented.get(option, ""))
    options = {
        name: called(f"{place}.{name}", option_type(found, docs[name])) for name, found in fields.items()
    }
    own = {
        component.name: _own_type(
            component, {name: options[name] for name in fields if len(fields[name]) == 1}
        )
        for component in components
    }
    kind = _described(_component_type(slot, own, options), description)
    return {COMPONENT: called(place, kind), "name": called(f"{place}.name", _name_type(slot)), **options}


def _component_type(slot: str, named: Mapping[str, Kind], options: Mapping[str, Kind]) -> Kind:
    """A mapping with a component's name, one without, or the name alone."""
    own = {f"{slot}: {name}": kind for name, kind in named.items()}
    off, unnamed, alone = f"{slot}: none", f"{slot}: the one already there", "the name alone"

    def choose(value: Any) -> str:
        if not isinstance(value, Mapping):
            return alone
        if "name" in value and SLOTS[slot].optional and value["name"] in _OFF:
            return off
        return title if (title := f"{slot}: {value.get('name')}") in own else unnamed

    def wrong(value: Any) -> str:
        if value is None or isinstance(value, str):
            return no_component(slot, value or "none")
        return f"a component is expected, such as {{name: ...}}, not {brief(value)}"

    members = own | {
        unnamed: _mapping(unnamed, f"The {slot} that is already there.", options),
        alone: Annotated[_words(slot, None), expected(wrong)],
    }
    if SLOTS[slot].optional:
        name = Required[_described(_literal(_OFF), "Off.")]
        members[off] = _mapping(off, "Not built at all.", {"name": name, **options})
    return one_of_kinds(choose, members)


def _name_type(slot: str) -> Kind:
    said = expected(lambda name: no_component(slot, name))
    return Annotated[_words(slot, None, False), said, Field(description=f"Which {slot}.")]


def _words(slot: str, *off: bool | None) -> Kind:
    """The names of a slot's components; where there need be none, also what else is taken for `none`."""
    return _literal((*SLOTS[slot].names, *(off if SLOTS[slot].optional else ())))


def _literal(words: tuple[str | bool | None, ...]) -> Kind:
    return Literal[(*words,)]


def _described(kind: Kind, description: str) -> Kind:
    return Annotated[kind, Field(description=description)]


def _own_type(component: ComponentSpec[Any], shared: Mapping[str, Kind]) -> Kind:
    """A mapping with the component's name; options that no other has are `shared` with one without."""
    docs = option_docs(component)
    options = {
        name: shared.get(name) or option_type([field], docs.get(name, ""))
        for name, field in component.options.model_fields.items()
    }
    name = _described(_literal((component.name,)), component.summary)
    return _mapping(
        f"{component.slot}: {component.name}", component.summary, {"name": Required[name], **options}
    )


def _mapping(title: str, summary: str, fields: Mapping[str, Kind]) -> Kind:
    """The type of a mapping that may leave out each of its keys and has no others."""
    kind = TypedDict(title.replace(".", "-"), dict(fields), total=False)  # type: ignore[misc]  # noqa: UP013
    kind.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
    kind.__doc__ = summary
    return kind
