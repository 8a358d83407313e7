"""Study documents, good and bad, made one change at a time: what loader and schema are both asked about."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from cmae_ablate.components.registry import SLOTS, ComponentSpec

STUDIES = Path(__file__).parents[2] / "studies"
REMOVED = object()
"""In a change: the key is to be taken away."""


class Document(NamedTuple):
    """A study file's content, with what is to be said of it; None where that is for the two to say alike."""

    name: str
    content: dict[str, Any]
    is_good: bool | None = None


@cache
def shipped() -> dict[str, dict[str, Any]]:
    """The shipped studies by name."""
    found = {path.stem: YAML(typ="safe", pure=True).load(path) for path in sorted(STUDIES.glob("*.yaml"))}
    assert len(found) >= 8
    return found


def documents() -> list[Document]:
    """All of them; the components must be loaded."""
    found = [Document(name, content, True) for name, content in shipped().items()]
    found += [*_mistyped_keys(), *_written_changes(), *_options()]
    return list({each.name: each for each in found}.values())


def changed(content: Mapping[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy with one value changed, added or `REMOVED`."""
    copied: dict[str, Any] = copy.deepcopy(dict(content))
    node: Any = copied
    for key in path[:-1]:
        node = node[key]
    if value is REMOVED:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return copied


WRONG: dict[str, tuple[Any, ...]] = {
    "question": (3, "", "  ", [], None),
    "scale": (3, "", {}),
    "design": ("gird", [], ["grid", "gird"], 3, None, "search"),
    "factors": ({}, [], "decoder"),
    "reference": ([], "depth 4", {"decoder": [1]}),
    "seeds": (0, 1001, -1, "3", True, 2.5, None, [3]),
    "metric": (3, "", ["knn.top1"]),
    "report": ("knn.top1", {}, [["knn.top1"]], None),
    "contrasts": ("depth 1", [["depth 1"]], [["depth 1", "depth 2", "depth 4"]], [[["depth 1"], "depth 2"]]),
    "budget": ("epoch", 3, None, ["epochs"]),
    "set": ([], "training", 3),
    "equivalence_margin": (0, -1, "1", True, [1]),
    "variance": ("poled", 3, None),
    "max_seeds": (2, 101, "9", True, 5, None),
    "block": (0, 101, 1, None),
    "precision": (0, -1, "1", True, None, 1.0),
    "smallest_effect": (0, -1, "1", True, None, 1.0),
    "keep": ("everything", True),
    "positive_control": ({}, 5, "off", [], True),
    "search": ([], None, 3, {}),
}
"""What no study may have, by key."""
LEARNING_RATE: dict[str, tuple[Any, ...]] = {
    "trials": (0, 100_001, "6", True, 2.5),
    "seeds": (0, 101, None),
    "metric": ("attentive_probe.top1", "validation_top1.x", 3),
    "prune": (1, "yes", None),
    "repeat": (0, "no"),
    "space": (
        {},
        [],
        {"training.base_lr": 0.1},
        {"training.base_lr": []},
        {"training.base_lr": [0.1, 0.1]},
        {"training.base_lr": ["0.1"]},
        {"training.base_lr": [0]},
        {"training.base_lr": {"low": 0.1}},
        {"training.base_lr": {"low": 0.1, "high": "1"}},
        {"training.base_lr": {"low": 0.1, "high": 1, "lag": True}},
        {"training.base_lr": {"low": 0.1, "high": 1, "log": 1}},
        {"training.base_lr": {"low": -1, "high": 1}},
        {"training.precision": {"low": "bf16", "high": "fp32"}},
        {"training.rate": [0.1]},
        {"trainin.base_lr": [0.1]},
        {"dataset.num_train": [64]},
        {"evaluations.knn.k": [3]},
    ),
}
"""What no search may have, by key."""


def _mistyped_keys() -> Iterator[Document]:
    study, tuned = shipped()["decoder_size"], shipped()["learning_rate"]
    required = ("question", "scale", "design", "factors", "reference", "seeds", "metric")
    for key in required:
        yield Document(f"{key} missing", changed(study, (key,), REMOVED), False)
    for key, values in WRONG.items():
        yield Document(f"{key} misspelt", {**study, f"{key}s_": study.get(key)}, False)
        for value in values:
            yield Document(f"{key} {value!r}", {**study, key: value}, False)
    for key, values in LEARNING_RATE.items():
        yield Document(f"search.{key} misspelt", changed(tuned, ("search", f"{key}_"), 1), False)
        for value in values:
            yield Document(f"search.{key} {value!r}", changed(tuned, ("search", key), value), False)
    yield Document("search without space", changed(tuned, ("search", "space"), REMOVED), False)
    yield Document("search without its design", {**tuned, "design": "one_factor"}, False)
    yield Document("search with a budget", {**tuned, "budget": "flops"}, False)
    for number, value in enumerate((None, [], {"path": "decoder"}, {"levels": {"a": {}}}, "decoder")):
        yield Document(f"no factor {number}", changed(study, ("factors", "decoder"), value), False)
    factor = study["factors"]["decoder"]
    for path in ("decodr", "decoder.dept", "decoder.depth.x", "objectives.color", "", "decoder.", 3, None):
        one = {"path": path, "levels": {"depth 4": {}, "b": {}}}
        yield Document(f"path {path!r}", changed(study, ("factors", "decoder"), one), False)
    for levels in (
        {},
        [],
        None,
        3,
        "linear",
        [[1]],
        [{"name": "linear"}],
        {"": {}},
        {" ": {}},
        {"a\x00b": {}},
    ):
        yield Document(f"levels {levels!r}", changed(study, ("factors", "decoder", "levels"), levels), False)
    for name in ("seed", "variant", " ", "a\tb"):
        renamed = {**study, "factors": {name: factor}, "reference": {name: "depth 4"}}
        yield Document(f"factor {name!r}", renamed, False)


GOOD_CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"training.epochs": 3},
    {"training": {"epochs": 3, "image_size": None}},
    {"objectives.contrastive": "none"},
    {"objectives": {"contrastive": None, "position": {"name": "none"}}},
    {"objectives": {"contrastive": {"name": False}, "position": "absolute"}},
    {"objectives": {"contrastive": {"name": "simclr"}, "contrastive.temperature": 0.1}},
    {"decoder": {"mlp_ratio": 2}},
    {"decoder.mlp_ratio": 2.5, "crop": "full", "crop.name": "full"},
    {"evaluations": {"knn": {"k": 5}, "mine": {"name": "knn", "k": 5}, "fine_tune": None}},
    {"evaluations.knn.k": 5, "evaluations.mine": {"name": "knn"}},
    {"augmentation": {"strong_views": []}, "crop.scale": [0.2, 1]},
)
BAD_CHANGES: tuple[dict[str, Any], ...] = (
    {"trainig": {}},
    {"training": 3},
    {"training": {"epoch": 3}},
    {"training.epoch": 3},
    {"training.epochs": 0},
    {"training": {"epochs": "3"}},
    {"training.epochs.x": 3},
    {"decoder": "liner"},
    {"decoder": None},
    {"decoder": {"name": "none"}},
    {"decoder": {"name": None}},
    {"decoder": {"name": ["linear"]}},
    {"decoder": [1, 2]},
    {"decoder": {"dept": 1}},
    {"decoder": {"depth.x": 1}},
    {"decoder.depth": 0},
    {"decoder.depth": {"x": 1}},
    {"decoder.name": "liner"},
    {"objectives": {"colour": "none"}},
    {"objectives": "none"},
    {"objectives.contrastive": {"name": "simcrl"}},
    {"objectives": {"contrastive": {"name": "simclr", "temperature": 0}}},
    {"objectives": {"contrastive": {"name": "simclr", "momentum": 0.9}}},
    {"evaluations": {"knn": {"k": 0}}},
    {"evaluations": {"mine": {"name": "nn"}}},
    {"evaluations.knn.kk": 5},
    {"evaluations.knn.k": "5"},
    {"evaluations.knn.k.x": 5},
    {"crop": {"name": "random_resized", "scale": [0.2]}},
    {"crop": {"name": "random_resized", "scale": [0.2, 0.5, 1]}},
    {"crop": {"name": "random_resized", "scale": 0.2}},
    {"crop.scale": [0.2, 1.5]},
)


def _written_changes() -> Iterator[Document]:
    """The same changes in a study's `set`, in a level of several keys, and as the positive control."""
    study = shipped()["decoder_size"]
    for changes in (*GOOD_CHANGES, *BAD_CHANGES):
        is_good, text = changes in GOOD_CHANGES, json.dumps(changes)
        yield Document(f"set {text}", {**study, "set": changes}, is_good)
        several = {"path": ".", "levels": {"plain": {}, "changed": changes}}
        both = changed(study, ("factors", "several"), several)
        yield Document(f"level {text}", changed(both, ("reference", "several"), "plain"), is_good)
        worse = {**changes, "training": {"epochs": 1}} if is_good else changes
        is_kept = any(key.startswith("evaluations") for key in changes)
        yield Document(f"control {text}", {**study, "positive_control": worse}, is_good and not is_kept)


def _options() -> Iterator[Document]:
    """Each option of each component: all at one bound or the other, and each alone beyond it."""
    for slot, registry in SLOTS.items():
        for component in registry:
            schema = component.options.model_json_schema()
            values = {name: list(_values(entry)) for name, entry in schema["properties"].items()}
            good = {name: [each for each, is_good in found if is_good] for name, found in values.items()}
            for at in range(max(map(len, good.values()), default=0)):
                level = {name: found[at % len(found)] for name, found in good.items() if found}
                yield _level(slot, component, f"at bounds {at}", level, True)
            for name, found in values.items():
                for value in (each for each, is_good in found if not is_good):
                    yield _level(slot, component, f"{name} {value!r}", {name: value}, False)


def _level(
    slot: str, component: ComponentSpec[Any], name: str, level: dict[str, Any], is_good: bool
) -> Document:
    path = "evaluations.tried" if slot == "evaluations" else slot
    first = {"name": component.name, **dict.fromkeys(component.files, "x")}
    factors = {"it": {"path": path, "levels": {"plain": first, "tried": {**first, **level}}}}
    content = {**shipped()["decoder_size"], "factors": factors, "reference": {"it": "plain"}}
    return Document(f"{slot} {component.name} {name}", content, is_good)


LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def _values(entry: Mapping[str, Any]) -> Iterator[tuple[Any, bool]]:
    """Values of an option with what must be said of them, from the range that its type states.

    What has no range is tried with another type.
    """
    choices = [each for each in entry.get("anyOf", [entry]) if each.get("type") != "null"]
    for each in choices:
        step = 1 if each.get("type") == "integer" else 0.001
        for limit, at_the_limit, beyond in (("minimum", 0, -step), ("maximum", 0, step)):
            if limit in each:
                yield each[limit] + at_the_limit, True
                yield each[limit] + beyond, False
        for limit, inside in (("exclusiveMinimum", step), ("exclusiveMaximum", -step)):
            if limit in each:
                yield each[limit] + inside, True
                yield each[limit], False
        item = each.get("prefixItems", [each.get("items", {})])[0]
        for value, is_good in _values(item) if item else ():
            if not is_good:
                yield [value, *entry["default"][1:]], False
    if "default" in entry:
        yield entry["default"], True
    if not any(limit in each for each in choices for limit in LIMITS):
        yield {"x": 1}, False
