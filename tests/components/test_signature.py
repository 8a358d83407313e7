"""Types of options as JSON: what reads back is checked by pydantic's own schema of it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from cmae_ablate.components.signature import (
    NotPlainError,
    as_json,
    fields_as_json,
    fields_from_json,
    from_json,
)


def even(value: int) -> int:
    if value % 2:
        raise ValueError("it is odd")
    return value


def find(module: str, name: str) -> Any:
    assert (module, name) == (__name__, "even")
    return even


def read_back(annotation: Any) -> Any:
    return from_json(json.loads(json.dumps(as_json(annotation))), find)


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (int, {"type": "integer"}),
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (Annotated[int, Field(ge=2, lt=9)], {"type": "integer", "minimum": 2, "exclusiveMaximum": 9}),
        (Literal["mean", "cls"], {"enum": ["mean", "cls"], "type": "string"}),
        (
            Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)],
            {"items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 1, "type": "array"},
        ),
        (
            tuple[int, bool],
            {
                "maxItems": 2,
                "minItems": 2,
                "prefixItems": [{"type": "integer"}, {"type": "boolean"}],
                "type": "array",
            },
        ),
        (list[str], {"items": {"type": "string"}, "type": "array"}),
        (
            Annotated[int, Field(ge=2)] | None,
            {"anyOf": [{"type": "integer", "minimum": 2}, {"type": "null"}]},
        ),
    ],
)
def test_a_type_reads_back_with_its_limits(annotation: Any, schema: dict[str, Any]) -> None:
    assert TypeAdapter(read_back(annotation)).json_schema() == schema


def test_a_validator_is_found_by_its_name_and_refuses_again() -> None:
    adapter = TypeAdapter(read_back(Annotated[int, AfterValidator(even)]))
    assert adapter.validate_python(4) == 4
    with pytest.raises(ValidationError, match="it is odd"):
        adapter.validate_python(3)


@pytest.mark.parametrize(
    "annotation",
    [
        bytes,
        dict[str, int],
        Annotated[int, Field(ge=1, description="a word that JSON would lose")],
        Annotated[float, Field(allow_inf_nan=False)],
        Annotated[int, "a note"],
        tuple[object, ...],
    ],
)
def test_what_would_not_read_back_exactly_is_refused(annotation: Any) -> None:
    with pytest.raises(NotPlainError):
        as_json(annotation)


def test_defaults_keep_their_kind() -> None:
    fields = {"a": (int, 1), "b": (float, 1), "c": (tuple[int, ...], (1, 2)), "d": (str | None, None)}
    read = fields_from_json(json.loads(json.dumps(fields_as_json({**fields, "e": (int, ...)}))), find)
    assert {name: default for name, (_, default) in read.items()} == {
        **{name: default for name, (_, default) in fields.items()},
        "e": ...,
    }
    assert type(read["c"][1]) is tuple


def test_a_default_that_is_no_plain_value_is_refused() -> None:
    with pytest.raises(NotPlainError):
        fields_as_json({"a": (int, Field(3, ge=1))})
