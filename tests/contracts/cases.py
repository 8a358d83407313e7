"""Every registered component as contract tests see it: by its defaults, and once with each of its choices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import create_model

from cmae_ablate.components.registry import ComponentSpec, Registry


def each(*registries: Registry[Any]) -> pytest.MarkDecorator:
    """Run a test with every component of these slots, and with every value of each of its choices."""
    found = [case for registry in registries for component in registry for case in cases(component)]
    return pytest.mark.parametrize("component", [case for _, case in found], ids=[name for name, _ in found])


def cases(component: ComponentSpec[Any]) -> Iterator[tuple[str, ComponentSpec[Any]]]:
    """The component, then the same with another default for one of its options, each under a name.

    Numbers have ranges, which `test_options` searches; words and switches are paths through the code, and
    each has to be gone once.
    """
    yield component.name, component
    for option, entry in component.options.model_fields.items():
        for value in values_of(entry.annotation):
            if entry.is_required() or value != entry.default:
                yield f"{component.name}-{option}-{value}", with_default(component, option, value)


def with_default(component: ComponentSpec[Any], option: str, value: object) -> ComponentSpec[Any]:
    """The component with another default for one option: built from no options, it is built with this one."""
    changed: Any = {option: (component.options.model_fields[option].annotation, value)}
    model = create_model(component.options.__name__, __base__=component.options, **changed)
    return replace(component, options=model)


def values_of(annotation: object) -> Iterable[object]:
    """All values of a choice or a switch; none of anything else."""
    if annotation is bool:
        return (False, True)
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return ()
