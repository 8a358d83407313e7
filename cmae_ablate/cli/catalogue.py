"""What components there are, for people and for editors; all of it derived from their signatures."""

from __future__ import annotations

import inspect
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS, ComponentSpec, option_docs, split_source
from cmae_ablate.errors import UserError, suggest
from cmae_ablate.study.trial_spec import Training


def show_components(name: str | None, console: Console) -> None:
    """Print the slots and their components, or every option of one component, or of one slot's.

    Raises:
        UserError: There is no such slot or component.
    """
    load_components()
    if name is None:
        _show_slots(console)
    elif name == "training":
        console.print("[bold]training[/]: how every variant is pretrained", highlight=False)
        _show_options(Training.model_json_schema()["properties"], {}, console)
    elif name in SLOTS:
        for component in SLOTS[name]:
            _show_component(component, console)
    else:
        found = [component for registry in SLOTS.values() for component in registry if component.name == name]
        if not found:
            known = [*SLOTS, *(component.name for registry in SLOTS.values() for component in registry)]
            raise UserError(f"components {name}: there is no such component; {suggest(name, known)}")
        for component in found:
            _show_component(component, console)


def _show_slots(console: Console) -> None:
    table = Table(
        "slot", "component", "what it is", title="Components; cmae-ablate components NAME lists options"
    )
    for slot, registry in SLOTS.items():
        for index, component in enumerate(registry):
            table.add_row(slot if index == 0 else "", component.name, component.summary)
        if registry.optional:
            table.add_row("", "none", "Off: not built at all.")
        table.add_section()
    table.add_row("training", "", "How every variant is pretrained.")
    console.print(table)


def _show_component(component: ComponentSpec[Any], console: Console) -> None:
    console.print(
        f"[bold]{component.slot}: {component.name}[/] (version {component.version})", highlight=False
    )
    text = inspect.getdoc(component.factory) or ""
    console.print(text.partition("\nArgs:")[0].strip(), highlight=False, markup=False)
    _show_options(component.options.model_json_schema()["properties"], option_docs(component), console)


def _show_options(properties: dict[str, Any], docs: dict[str, str], console: Console) -> None:
    if not properties:
        console.print("No options.\n")
        return
    table = Table("option", "type", "range", "default", "meaning, and what the source has", show_lines=True)
    for name, entry in properties.items():
        kind, limits = _type_and_range(entry)
        default = "required" if "default" not in entry else _shown(entry["default"])
        meaning, source = split_source(docs.get(name, entry.get("description", "")))
        told = f"{meaning}\n[italic]Source:[/] {source}" if source else meaning
        table.add_row(name, kind, limits, default, told)
    console.print(table)
    console.print()


_LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minItems": "at least {} items",
    "minLength": "at least {} characters",
}


def _type_and_range(entry: dict[str, Any]) -> tuple[str, str]:
    if "anyOf" in entry:
        parts = [_type_and_range(part) for part in entry["anyOf"] if part.get("type") != "null"]
        null = ["null"] if len(parts) < len(entry["anyOf"]) else []
        kinds = [kind for kind, _ in parts]
        return " or ".join([*kinds, *null]), ", ".join(limits for _, limits in parts)
    if "enum" in entry or "const" in entry:
        return "choice", ", ".join(str(value) for value in entry.get("enum", [entry.get("const")]))
    if entry.get("type") == "boolean":
        return "boolean", "true, false"
    if entry.get("type") == "array":
        return _list_and_range(entry)
    limits = [text.format(f"{entry[key]:g}") for key, text in _LIMITS.items() if key in entry]
    return str(entry.get("type", "any")), ", ".join(limits) or "any"


def _list_and_range(entry: dict[str, Any]) -> tuple[str, str]:
    fixed = entry.get("prefixItems")
    kind, limits = _type_and_range(fixed[0] if fixed else entry.get("items", {}))
    if fixed:
        count = str(len(fixed))
    else:
        count = f"at least {entry['minItems']}" if entry.get("minItems") else "any number"
    return f"list of {kind}s", f"{count}, each {limits}"


def _shown(default: object) -> str:
    """A default as a study file would have it."""
    if isinstance(default, list):
        return f"[{', '.join(_shown(value) for value in default)}]"
    if isinstance(default, float):
        return f"{default:.6g}"
    return default if isinstance(default, str) else json.dumps(default)
