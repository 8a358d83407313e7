"""Options of every registered component: what their stated type and range promise, held."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS, ComponentSpec, option_docs, split_source
from cmae_ablate.study.trial_spec import Training

load_components()
LARGE = 10**12
EVERY = [component for registry in SLOTS.values() for component in registry]
NUMBERS = [
    pytest.param(component, name, entry, id=f"{component.slot}-{component.name}-{name}")
    for component in EVERY
    for name, entry in component.options.model_json_schema().get("properties", {}).items()
    if entry.get("type") in {"integer", "number"}
]
ANY = pytest.mark.parametrize(("component", "name", "entry"), NUMBERS)
QUICK = settings(max_examples=20, deadline=None, derandomize=True)


def needed(component: ComponentSpec[Any]) -> dict[str, Any]:
    """A text for each option that has no default."""
    required = component.options.model_json_schema().get("required", [])
    return dict.fromkeys(required, "somewhere")


def numbers(entry: dict[str, Any], *, inside: bool) -> st.SearchStrategy[float] | None:
    """Numbers within the stated range, or outside of it; None where every number is inside."""
    low = entry.get("minimum", entry.get("exclusiveMinimum"))
    high = entry.get("maximum", entry.get("exclusiveMaximum"))
    whole = entry["type"] == "integer"
    make: Any = st.integers if whole else lambda a, b: st.floats(a, b, allow_nan=False)
    kept = {"exclusiveMinimum", "exclusiveMaximum"} & set(entry)
    if inside:
        limits = {entry[key] for key in kept}
        drawn = make(-LARGE if low is None else low, LARGE if high is None else high)
        return drawn.filter(lambda value: value not in limits)
    parts = [make(-LARGE, low - 1)] if low is not None else []
    parts += [make(high + 1, max(LARGE, 2 * high))] if high is not None else []
    parts += [st.just(entry[key]) for key in sorted(kept)]
    return st.one_of(parts) if parts else None


@ANY
def test_a_number_in_range_is_taken_as_it_is(
    component: ComponentSpec[Any], name: str, entry: dict[str, Any]
) -> None:
    drawn = numbers(entry, inside=True)
    assert drawn is not None

    @QUICK
    @given(drawn)
    def taken(value: float) -> None:
        assert component.validate({**needed(component), name: value})[name] == value

    taken()


@ANY
def test_a_number_out_of_range_is_refused(
    component: ComponentSpec[Any], name: str, entry: dict[str, Any]
) -> None:
    drawn = numbers(entry, inside=False)
    if drawn is None:
        pytest.skip("every number is in range")

    @QUICK
    @given(drawn)
    def refused(value: float) -> None:
        with pytest.raises(ValidationError):
            component.validate({**needed(component), name: value})

    refused()


@ANY
def test_what_is_no_number_is_refused(
    component: ComponentSpec[Any], name: str, entry: dict[str, Any]
) -> None:
    for value in ("8", [8], {"a": 8}, True):
        with pytest.raises(ValidationError):
            component.validate({**needed(component), name: value})
    if entry["type"] == "integer":
        with pytest.raises(ValidationError):
            component.validate({**needed(component), name: 2.5})


@pytest.mark.parametrize("component", EVERY, ids=lambda component: f"{component.slot}-{component.name}")
@given(name=st.text(min_size=1, max_size=12))
@QUICK
def test_a_key_that_is_no_option_is_refused(component: ComponentSpec[Any], name: str) -> None:
    if name in component.options.model_fields:
        return
    with pytest.raises(ValidationError):
        component.validate({**needed(component), name: 1})


@pytest.mark.parametrize("component", EVERY, ids=lambda component: f"{component.slot}-{component.name}")
def test_defaults_are_within_their_own_ranges(component: ComponentSpec[Any]) -> None:
    filled = component.validate(needed(component))
    assert component.validate(filled) == filled


def test_every_option_says_what_it_means_and_what_its_source_has() -> None:
    # Of this package only: another may have no source to name.
    told = {
        f"{component.slot}.{component.name}.{name}": split_source(option_docs(component).get(name, ""))
        for component in EVERY
        for name in component.options.model_fields
        if component.factory.__module__.startswith("cmae_ablate.")
    }
    told |= {
        f"training.{name}": split_source(field.description or "")
        for name, field in Training.model_fields.items()
    }
    assert len(told) > 100
    assert [name for name, parts in told.items() if not all(parts)] == []
