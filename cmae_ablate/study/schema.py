"""The JSON Schema of study files, made from the components' own options."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.study.keys import BUDGETS, DESIGNS, KEEPS, MAX_SEEDS, REQUIRED_KEYS, SEARCH, VARIANCES
from cmae_ablate.study.search import MAX_TUNING_SEEDS
from cmae_ablate.study.trial_spec import Training


def study_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a study file."""
    load_components()
    trial: dict[str, Any] = {
        slot: _slot_schema(slot) for slot in SLOTS if "." not in slot and slot != "evaluations"
    }
    trial["objectives"] = _object(
        {
            slot.removeprefix("objectives."): _slot_schema(slot)
            for slot in SLOTS
            if slot.startswith("objectives.")
        }
    )
    trial["evaluations"] = {"type": "object", "additionalProperties": _slot_schema("evaluations")}
    trial["training"] = _object(Training.model_json_schema()["properties"])
    factor = _object(
        {"path": {"type": "string"}, "levels": {"type": ["object", "array"]}}, required=["path", "levels"]
    )
    design = {"enum": [*DESIGNS, SEARCH]}
    choices = {"type": "array", "minItems": 1}
    interval = _object(
        {"low": {"type": "number"}, "high": {"type": "number"}, "log": {"type": "boolean"}}, ["low", "high"]
    )
    space = {"type": "object", "additionalProperties": {"anyOf": [choices, interval]}, "minProperties": 1}
    search = _object(
        {
            "trials": {"type": "integer", "minimum": 1},
            "seeds": {"type": "integer", "minimum": 1, "maximum": MAX_TUNING_SEEDS},
            "metric": {"type": "string"},
            "space": space,
            "prune": {"type": "boolean"},
            "repeat": {"type": "boolean"},
        },
        ["space"],
    )
    properties = {
        "question": {"type": "string"},
        "scale": {"type": "string"},
        "design": {"anyOf": [design, {"type": "array", "items": design, "minItems": 1}]},
        "factors": {"type": "object", "additionalProperties": factor, "minProperties": 1},
        "reference": {"type": "object"},
        "seeds": {"type": "integer", "minimum": 1, "maximum": MAX_SEEDS},
        "metric": {"type": "string"},
        "report": {"type": "array", "items": {"type": "string"}},
        "contrasts": {"type": "array", "items": {"type": "array", "minItems": 2, "maxItems": 2}},
        "budget": {"enum": list(BUDGETS)},
        "variance": {"enum": list(VARIANCES)},
        "keep": {"enum": list(KEEPS)},
        "search": search,
        "equivalence_margin": {"type": "number", "exclusiveMinimum": 0},
        "set": _object(trial),
        # As a level of path `.`: keys may be dotted, so the loader checks them.
        "positive_control": {"anyOf": [{"enum": ["none", None]}, {"type": "object", "minProperties": 1}]},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cmae-ablate study",
        **_object(properties, required=list(REQUIRED_KEYS)),
    }


def _slot_schema(slot: str) -> dict[str, Any]:
    registry = SLOTS[slot]
    choices: list[dict[str, Any]] = [{"enum": registry.names}, {"type": "null"}]
    choices += [_component_schema(component.name, component.options) for component in registry]
    return {"anyOf": choices}


def _component_schema(name: str, options: type[BaseModel]) -> dict[str, Any]:
    schema = options.model_json_schema()
    return _object({"name": {"const": name}, **schema["properties"]})


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": required} if required else {})
