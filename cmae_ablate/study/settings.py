"""Settings of a trial as a plain tree: where they stand, and how a change is laid over them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cmae_ablate.components.registry import SLOTS
from cmae_ablate.errors import suggest
from cmae_ablate.study.yaml_source import KeyPath

Tree = dict[str, Any]

REQUIRED_SLOTS = ("dataset", "backbone", "masking", "decoder", "target", "crop", "augmentation")
TRIAL_KEYS = (*REQUIRED_SLOTS, "objectives", "training", "evaluations")
GROUPS: tuple[KeyPath, ...] = ((), ("objectives",), ("training",), ("evaluations",))
"""Where no setting stands but a mapping of settings, whose keys may be dotted."""


class SpecError(ValueError):
    """A setting that makes no trial: where in the trial, what is wrong, what to do."""

    def __init__(self, path: KeyPath, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def default_tree() -> Tree:
    """MAE on the embedded data, as settings."""
    return {
        "dataset": {"name": "scenes"},
        "backbone": {"name": "vit"},
        "masking": {"name": "random"},
        "decoder": {"name": "transformer"},
        "target": {"name": "pixels"},
        "crop": {"name": "random_resized"},
        "augmentation": {"name": "standard"},
        "objectives": {},
        "training": {},
        "evaluations": {"knn": {"name": "knn"}, "linear_probe": {"name": "linear_probe"}},
    }


def slot_of(path: KeyPath) -> str | None:
    """The slot whose component stands at `path` in a trial; None where none does."""
    if len(path) == 2 and path[0] == "evaluations":
        return "evaluations"
    dotted = ".".join(path)
    return dotted if dotted in SLOTS and dotted != "evaluations" else None


def component_path(path: KeyPath) -> KeyPath | None:
    """The path of the component that stands at `path` or has its option there; None where none does."""
    return next((path[:length] for length in (1, 2) if slot_of(path[:length]) and len(path) >= length), None)


def no_component(slot: str, name: Any) -> str:
    """What is wrong with a component's name, and what to choose."""
    if not isinstance(name, str):
        return f"a component's name is a word, not {brief(name)}"
    kind = slot.rsplit(".", maxsplit=1)[-1].removesuffix("s")
    return f"no {kind} is called '{name}'; {suggest(name, SLOTS[slot].names)}"


def changes(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
    """Take a change apart into components and single settings, each with its path.

    Args:
        path: Where in the trial; empty for a set of changes.
        value: What to put there. A mapping above components holds further changes, whose keys may be dotted.

    Raises:
        SpecError: The path leads nowhere in a trial.
    """
    place = component_path(path) or (("training",) if path[:1] == ("training",) != path else None)
    if place is not None:
        option = path[len(place) :]
        if len(option) > 1:
            raise SpecError(path, f"options have no parts of their own; set '{option[0]}' whole")
        yield path, value
    elif path in GROUPS:
        if not isinstance(value, Mapping):
            own = f"; set what is in it, as {'.'.join(path)}.KEY=VALUE" if path else ""
            raise SpecError(path, f"a mapping of settings is expected, not {brief(value)}{own}")
        for key, inner in value.items():
            yield from changes((*path, *str(key).split(".")), inner)
    else:
        raise SpecError(path, f"a trial has no such key; {suggest(path[0], _known(path))}")


def apply(tree: Tree, path: KeyPath, value: Any) -> Tree:
    """A copy of `tree` with the change made.

    Where the component there keeps its name, options merge; another name replaces the component.
    """
    result = tree
    for place, setting in changes(path, value):
        result = _put(result, place, setting)
    return result


def touches(path: KeyPath, value: Any, wanted: KeyPath) -> bool:
    """Whether a change decides the setting at `wanted`.

    Args:
        path: Where the change is made; empty for a set of changes.
        value: What it puts there.
        wanted: The path of a component or of a single setting.
    """
    for place, setting in changes(path, value):
        inner = wanted[len(place) :]
        if wanted[: len(place)] != place:
            continue
        if not inner or not isinstance(setting, Mapping) or inner[0] in setting:
            return not (inner and isinstance(setting, str) and inner[0] != "name")
    return False


def brief(value: Any) -> str:
    """The value as an error message shows it: never whole pages."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _put(tree: Tree, path: KeyPath, value: Any) -> Tree:
    place = component_path(path)
    if place is None:
        return {**tree, "training": {**tree["training"], path[1]: value}}
    option = path[len(place) :]
    present: Any = tree
    for key in place:
        present = present.get(key, {})
    node = _component_node(place, present, {option[0]: value} if option else value)
    if len(place) == 1:
        return {**tree, place[0]: node}
    return {**tree, place[0]: {**tree[place[0]], place[1]: node}}


def _component_node(path: KeyPath, present: Tree, value: Any) -> Tree:
    if value is None or isinstance(value, str):
        value = {"name": value or "none"}
    if not isinstance(value, Mapping):
        raise SpecError(path, f"a component is expected, such as {{name: ...}}, not {brief(value)}")
    # An evaluation's label is its name unless said otherwise; an objective that is absent must be named.
    name = value.get("name", present.get("name", path[-1] if path[0] == "evaluations" else None))
    if "name" not in value and name is None:
        raise SpecError(path, f"say which: {{name: ...}}; {suggest('', SLOTS['.'.join(path)].names)}")
    if name is None or name is False:
        name = "none"
    if not isinstance(name, str):
        raise SpecError((*path, "name"), f"a component's name is a word, not {brief(name)}")
    kept = present if present.get("name") == name else {}
    return {**kept, **value, "name": name}


def _known(path: KeyPath) -> list[str]:
    if len(path) > 1 and path[0] == "objectives":
        return [slot.removeprefix("objectives.") for slot in SLOTS if slot.startswith("objectives.")]
    return list(TRIAL_KEYS)
