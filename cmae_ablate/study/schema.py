"""The JSON Schema of study files and of scales, for editors, from the types that check them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from cmae_ablate.errors import writing
from cmae_ablate.files import write_atomically
from cmae_ablate.study.component_types import Kind
from cmae_ablate.study.study_file import StudyFile
from cmae_ablate.study.trial_keys import Changes

STUDY_SCHEMA = "study.schema.json"
"""What the file beside a study is called that the study's first line names."""


class _Untitled(GenerateJsonSchema):
    """Without titles, which would only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def study_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a study file, with all components that are installed."""
    return _schema("cmae-ablate study", StudyFile)


def scale_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a scale."""
    return _schema("cmae-ablate scale", Changes)


def schema_text(schema: dict[str, Any]) -> str:
    """A schema as a file has it."""
    return json.dumps(schema, indent=2, allow_nan=False) + "\n"


def write_schema(schema: dict[str, Any], path: Path) -> None:
    """Write a schema, over an older one, as `cmae-ablate schema` prints it.

    Raises:
        UserError: It cannot be written.
        NoRoomError: The disk is full.
    """
    with writing(path, "choose another place"):
        write_atomically(path, schema_text(schema).encode(), mode=0o666)


def _schema(title: str, kind: Kind) -> dict[str, Any]:
    found = TypeAdapter(kind).json_schema(schema_generator=_Untitled)
    return {"$schema": GenerateJsonSchema.schema_dialect, **found, "title": title}
