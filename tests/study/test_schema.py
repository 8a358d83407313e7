"""The schema and the loader say the same of every study document, but for what a schema cannot say."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cmae_ablate.components.loading import load_components
from cmae_ablate.errors import UserError
from cmae_ablate.study import design
from cmae_ablate.study.controls import control_variants
from cmae_ablate.study.loading import load
from cmae_ablate.study.schema import study_schema
from tests.study.corpus import changed, documents, shipped

load_components()
WORDS = "say it once more with: cmae-ablate schema --out studies/study.schema.json"


SCALE = """\
decoder: {name: transformer, depth: 2}
training: {epochs: 4}
evaluations: {knn: {k: 20}, linear_probe: {}, attentive_probe: {name: attentive_probe, epochs: 10}}
"""


@cache
def validator() -> Draft202012Validator:
    schema = study_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def refusal(content: dict[str, Any], folder: Path) -> str:
    """What the loader says against a study; nothing where it accepts it."""
    scale = folder / "scales" / "cpu.yaml"
    if not scale.exists():
        scale.parent.mkdir()
        scale.write_text(SCALE)  # the shipped one takes longer to read than any of the studies
    path = folder / "study.yaml"
    path.write_text(json.dumps(content))  # a JSON text is a YAML text
    try:
        study = load(path)
        control_variants(study, design.variants(study))
    except UserError as error:
        assert str(error).startswith(f"{path}:"), error
        return str(error)
    return ""


def test_loader_and_schema_say_the_same_of_every_document(tmp_path: Path) -> None:
    found = [
        (each, bool(refusal(each.content, tmp_path)), not validator().is_valid(each.content))
        for each in documents()
    ]
    assert [each.name for each, by_loader, by_schema in found if by_loader != by_schema] == []
    assert [each.name for each, refused, _ in found if each.is_good is refused] == []
    refused, accepted = ([each for each in found if each[1] is is_refused] for is_refused in (True, False))
    assert (len(found), len(refused), len(accepted)) == (0, 0, 0)


STUDY, TUNED = shipped()["decoder_size"], shipped()["learning_rate"]
UNSAID: dict[str, tuple[dict[str, Any], str, str]] = {
    "a reference's level": (
        changed(STUDY, ("reference", "decoder"), "depth 9"),
        "has no level",
        "names of another key of the file",
    ),
}
"""What the loader refuses and a schema cannot: the study, what the loader says, and why."""


@pytest.mark.parametrize("name", UNSAID)
def test_what_a_schema_cannot_say_is_said_by_the_loader_alone(name: str, tmp_path: Path) -> None:
    content, words, _ = UNSAID[name]
    assert validator().is_valid(content)
    assert words in refusal(content, tmp_path)
