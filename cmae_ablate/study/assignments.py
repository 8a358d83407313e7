"""`PATH=VALUE`, as `--set` takes it: which key is meant, and what was typed for it."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from cmae_ablate.components.registry import SLOTS
from cmae_ablate.errors import UserError
from cmae_ablate.study.settings import Tree, slot_of
from cmae_ablate.study.training_settings import Training
from cmae_ablate.study.yaml_source import KeyPath, parse_value


def read_assignment(
    text: str, tree: Tree, *, prefix: KeyPath = (), example: str, typed: str = ""
) -> tuple[KeyPath, Any]:
    """Take `PATH=VALUE` apart.

    A text option takes everything behind the first `=`, character for character. All other values are YAML;
    one that YAML would cut or read as something else than it looks is refused.

    Args:
        text: As typed, or as it is meant.
        tree: The trial's settings so far: which component's option is meant.
        prefix: Where in the trial the path begins.
        example: An assignment for the error message.
        typed: As typed, where `text` is not.

    Raises:
        UserError: It is none, or its value is not what it looks like.
    """
    name, separator, value = text.partition("=")
    shown = typed or text
    place = f"--set {shown}: {shown.partition('=')[0].strip()}"
    if not separator or not name.strip():
        raise UserError(f"--set {shown}: PATH=VALUE is expected, as in --set {example}")
    path = (*prefix, *name.strip().split("."))
    if not value.strip():
        raise UserError(f"{place}: a value is expected behind the '='")
    if is_text(tree, path):
        return path, value
    return path, parse_value(value, place)


def is_text(tree: Tree, path: KeyPath) -> bool:
    """Whether the key at `path` of a trial takes a text and nothing else.

    Args:
        tree: The trial's settings: an option is one of the component that is there, or else of any other
            component of its slot.
        path: The key.
    """
    if len(path) == 2 and path[0] == "training":
        return _takes_text(Training, path[1])
    slot = slot_of(path[:-1])
    if slot is None:
        return False
    if path[-1] == "name":
        return True
    present: Any = tree
    for key in path[:-1]:
        present = present.get(key) if isinstance(present, dict) else None
    chosen = present.get("name", path[-2]) if isinstance(present, dict) else path[-2]
    known = [component for component in SLOTS[slot] if path[-1] in component.options.model_fields]
    named = [component for component in known if component.name == chosen]
    return bool(known) and all(_takes_text(component.options, path[-1]) for component in named or known)


def _takes_text(options: type[BaseModel], name: str) -> bool:
    field = options.model_fields.get(name)
    return field is not None and _is_text(field.annotation)


def _is_text(annotation: Any) -> bool:
    """`str`, words to choose from, and either of them or nothing."""
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return bool(kinds) and all(_is_text(kind) for kind in kinds)
    if get_origin(annotation) is Literal:
        return all(isinstance(word, str) for word in get_args(annotation))
    return annotation is str
