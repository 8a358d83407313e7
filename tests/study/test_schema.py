"""The schema and the loader say the same of every study, but for what a schema cannot say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS, option_docs
from cmae_ablate.errors import UserError
from cmae_ablate.study import design
from cmae_ablate.study.controls import control_variants
from cmae_ablate.study.loading import load
from cmae_ablate.study.schema import scale_schema, study_schema
from tests.study.corpus import BAD_CHANGES, GOOD_CHANGES, STUDIES, changed, documents, shipped

load_components()
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


def refusal(content: dict[str, Any] | str, folder: Path) -> str:
    """What the loader says against a study; nothing where it accepts it."""
    scale = folder / "scales" / "cpu.yaml"
    if not scale.exists():
        scale.parent.mkdir()
        scale.write_text(SCALE)  # the shipped one takes longer to read than any of the studies
    path = folder / "study.yaml"
    # A JSON text is a YAML text.
    path.write_text(content if isinstance(content, str) else json.dumps(content))
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
    assert [each.name for each, is_refused, _ in found if each.is_good is is_refused] == []
    refused = sum(is_refused for _, is_refused, _ in found)
    assert refused >= 500
    assert len(found) - refused >= 130


STUDY, TUNED = shipped()["decoder_size"], shipped()["learning_rate"]
LEVELS = ("factors", "decoder", "levels")
RATES = {"path": "training.base_lr", "levels": [0.1, 0.10]}


def level(value: Any) -> dict[str, Any]:
    return changed(STUDY, (*LEVELS, "linear"), value)


OTHER_KEYS = "it depends on other keys of the file"
THE_TRIAL = "it depends on the trial that is changed, which the scale and the study make together"
NUMBERS = "to JSON Schema 3.0 is an integer, and NaN no number of a text"
LIMITS = "it compares two values with each other"
RULE = {**STUDY, "seeds": 3, "max_seeds": 9, "precision": 1.0}
UNSAID: dict[str, tuple[dict[str, Any], str, str]] = {
    "a level of the reference": (
        changed(STUDY, ("reference", "decoder"), "depth 9"),
        "has no level 'depth 9'",
        OTHER_KEYS,
    ),
    "a factor of the reference": (
        changed(STUDY, ("reference", "encoder"), "depth 4"),
        "no factor is called",
        OTHER_KEYS,
    ),
    "a factor without a reference": ({**STUDY, "reference": {}}, "say which level", OTHER_KEYS),
    "a contrast's variant": (
        {**STUDY, "contrasts": [["depth 9", "linear"]]},
        "no variant is called 'depth 9'",
        OTHER_KEYS,
    ),
    "two levels of a design": ({**STUDY, "design": "add_one"}, "add_one needs two levels", OTHER_KEYS),
    "more trials than settings": (
        changed(TUNED, ("search", "space"), {"training.base_lr": [0.1]}),
        "1 different settings",
        OTHER_KEYS,
    ),
    "a key that is tuned and varied": (
        changed(TUNED, ("search", "space"), {"decoder.depth": {"low": 1, "high": 9}}),
        "sets it in level",
        OTHER_KEYS,
    ),
    "epochs that a budget decides": (
        {**changed(STUDY, ("factors", "decoder"), {"path": "training.epochs", "levels": [1, 2]})}
        | {"reference": {"decoder": 1}, "budget": "flops"},
        "decides each variant's epochs",
        OTHER_KEYS,
    ),
    "two spellings of a level": (
        changed(STUDY, ("factors", "decoder"), RATES) | {"reference": {"decoder": 0.1}},
        "once more",
        "an editor's schema is asked about values, not about how they are spelt",
    ),
    "names that look alike": (
        changed(STUDY, (*LEVELS, "depth  4"), {"depth": 3}),
        "differ only in blanks",
        LIMITS,
    ),
    "no more seeds than the first": ({**RULE, "max_seeds": 3}, "more than the 3 seeds", LIMITS),
    "a margin that is another": (
        {**RULE, "smallest_effect": 1.0, "equivalence_margin": 2.0},
        "remove equivalence_margin",
        LIMITS,
    ),
    "a grid without contrasts": (
        changed(
            {**RULE, "design": "grid"}, ("factors", "mask"), {"path": "masking.ratio", "levels": [0.5, 0.75]}
        )
        | {"reference": {**STUDY["reference"], "mask": 0.75}},
        "declare contrasts",
        OTHER_KEYS,
    ),
    "a metric": ({**STUDY, "metric": "linear_probe.top5"}, "did you mean", THE_TRIAL),
    "a scale": ({**STUDY, "scale": "cpuu"}, "no scale is called 'cpuu'", "it is a file, found by its name"),
    "an option of another component": (level({"reach": 2}), "'transformer' has no such option", THE_TRIAL),
    "an option that is needed": (
        {**STUDY, "set": {"backbone": "checkpoint"}},
        "'checkpoint' needs this option; set backbone.path",
        "it may already be there, as what is set is laid over what is",
    ),
    "an evaluation's label": ({**STUDY, "set": {"evaluations": {"mine": {"k": 3}}}}, "'mine'", THE_TRIAL),
    "a control that is no worse": (
        {**STUDY, "positive_control": {"training.epochs": 4}},
        "4 epochs are no fewer",
        THE_TRIAL,
    ),
    "a whole number with a point": ({**STUDY, "set": {"training.epochs": 3.0}}, "valid integer", NUMBERS),
    "not a number": ({**STUDY, "equivalence_margin": float("nan")}, "positive number", NUMBERS),
    "infinity": ({**STUDY, "set": {"training.base_lr": float("inf")}}, "finite number", NUMBERS),
    "a range that falls": (
        level({"name": "transformer"}) | {"set": {"crop.scale": [0.9, 0.2]}},
        "the lower bound 0.9 exceeds the upper bound 0.2; swap them",
        LIMITS,
    ),
    "an interval that falls": (
        changed(TUNED, ("search", "space"), {"training.base_lr": {"low": 1, "high": 0.1}}),
        "low must be a number below high",
        LIMITS,
    ),
    "a logarithm of nothing": (
        changed(TUNED, ("search", "space"), {"training.min_lr": {"low": 0, "high": 0.1, "log": True}}),
        "low must be above 0",
        LIMITS,
    ),
}
"""What the loader refuses and a schema cannot: the study, what the loader says, and why."""


@pytest.mark.parametrize(
    "keys",
    [
        {"max_seeds": 9, "precision": 1.0},
        {"max_seeds": 100, "smallest_effect": 0.5, "block": 3},
        {"max_seeds": 9, "smallest_effect": 1.0, "precision": 2, "equivalence_margin": 1.0},
    ],
)
def test_loader_and_schema_accept_seeds_by_rule(keys: dict[str, Any], tmp_path: Path) -> None:
    assert validator().is_valid({**STUDY, **keys})
    assert refusal({**STUDY, **keys}, tmp_path) == ""


@pytest.mark.parametrize(
    "keys",
    [{"seeds": 1}, {"variance": "pooled"}, {"search": TUNED["search"], "design": "search"}],
)
def test_loader_and_schema_refuse_what_does_not_go_with_seeds_by_rule(
    keys: dict[str, Any], tmp_path: Path
) -> None:
    assert not validator().is_valid({**RULE, **keys})
    assert refusal({**RULE, **keys}, tmp_path)


def as_yaml(content: Any) -> str:
    """As JSON, with the numbers that only YAML has."""
    text = json.dumps(content)
    return text.replace("NaN", ".nan").replace("Infinity", ".inf")


@pytest.mark.parametrize("name", UNSAID)
def test_what_a_schema_cannot_say_is_said_by_the_loader_alone(name: str, tmp_path: Path) -> None:
    content, words, reason = UNSAID[name]
    assert validator().is_valid(content), reason
    text = as_yaml(content)
    if name == "two spellings of a level":
        text = text.replace("[0.1, 0.1]", "[0.1, 0.10]")
    assert words in refusal(text, tmp_path)


def test_a_level_is_checked_against_the_path_of_its_factor() -> None:
    bad = {"name": "transformer", "depth": 0}
    [error] = validator().iter_errors(level(bad))
    assert list(error.path) == ["factors", "decoder", "levels", "linear"]
    dropped = changed(level(bad), ("factors", "decoder", "path"), "decoder.depth")
    assert len(list(validator().iter_errors(dropped))) == 4  # no level of depth is a mapping


def test_the_schema_of_scales_judges_the_same_changes_and_every_shipped_scale() -> None:
    scales = Draft202012Validator(scale_schema())
    assert [changes for changes in GOOD_CHANGES if not scales.is_valid(changes)] == []
    assert [changes for changes in BAD_CHANGES if scales.is_valid(changes)] == []
    paths = sorted((STUDIES / "scales").glob("*.yaml"))
    assert len(paths) == 5
    assert [path for path in paths if not scales.is_valid(YAML(typ="safe", pure=True).load(path))] == []


@pytest.mark.parametrize("name", ["study", "scale"])
def test_the_schema_that_lies_beside_the_shipped_studies_is_todays(name: str) -> None:
    today = study_schema() if name == "study" else scale_schema()
    option = "" if name == "study" else "--scale "
    path = STUDIES / f"{name}.schema.json"
    again = f"write it anew: cmae-ablate schema {option}--out studies/{path.name}"
    assert path.read_text() == json.dumps(today, indent=2) + "\n", again


def test_the_first_line_of_every_shipped_file_names_its_schema() -> None:
    paths = [*STUDIES.glob("*.yaml"), *(STUDIES / "scales").glob("*.yaml")]
    assert len(paths) == 14
    for path in paths:
        first, *_ = path.read_text().splitlines()
        found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert found, path
        title = json.loads((path.parent / found[1]).read_text())["title"]
        assert title == f"cmae-ablate {'scale' if path.parent.name == 'scales' else 'study'}"


def undescribed(schema: Any, defined: dict[str, Any], place: str = "") -> Iterator[str]:
    """The keys of a schema that say nothing of themselves, wherever they stand."""
    for key, entry in schema.get("properties", {}).items():
        if place.endswith(("/if", "/then", "/else")):
            continue
        target = defined[entry["$ref"].rpartition("/")[2]] if "$ref" in entry else {}
        if not (entry.get("description") or target.get("description")):
            yield f"{place}/{key}"
    for key, entry in schema.items():
        for part in entry if isinstance(entry, list) else [entry]:
            if isinstance(part, dict) and key != "default":
                yield from undescribed(part, defined, f"{place}/{key}")


def test_every_key_of_a_study_is_described_and_every_option_as_the_catalogue_has_it() -> None:
    schema = study_schema()
    assert list(undescribed(schema, schema["$defs"])) == []
    described = json.dumps(schema["$defs"], ensure_ascii=False)
    told = [
        text
        for registry in SLOTS.values()
        for component in registry
        for name, text in option_docs(component).items()
        if name in component.options.model_fields
    ]
    assert len(told) > 100
    assert [text for text in told if json.dumps(text, ensure_ascii=False) not in described] == []
