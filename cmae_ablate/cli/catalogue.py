"""What components there are, for people and for editors; all of it derived from their signatures."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS, ComponentSpec, option_docs, split_source
from cmae_ablate.errors import UserError, suggest
from cmae_ablate.study.trial_spec import Training
from cmae_ablate.terminal import Column, say, say_table

TRAINING = "training"
REQUIRED = "required"
RANGE_WIDTH, MEANING_WIDTH, FRAME = 24, 40, 3
"""Characters below which a table's ranges and meanings would be broken inside words; a column's borders."""


@dataclass(frozen=True)
class OptionRow:
    """One option of one component, or a component that has none.

    Attributes:
        slot: Where in a trial, such as `objectives.contrastive`; `training` for how variants are pretrained.
        name: The component.
        option: What a study sets; None where the component has no options.
        type: `integer`, `number`, `choice`, `list of ...` and the like.
        default: As in a study file; `required` where there is none.
        range: Limits or choices.
        source: What the source has, and why ours differs.
        meaning: What it does.
    """

    slot: str
    name: str
    option: str | None = None
    type: str = ""
    default: Any = None
    range: str = ""
    source: str = ""
    meaning: str = ""


def option_rows(name: str | None = None) -> list[OptionRow]:
    """Every option of every component, or of those that are called so, or stand in the slot of that name.

    Raises:
        UserError: There is no such slot or component.
    """
    load_components()
    if name is None:
        return [*(row for slot in SLOTS for row in option_rows(slot)), *_training_rows()]
    if name == TRAINING:
        return _training_rows()
    return [row for component in _found(name) for row in _rows(component) or [_bare(component)]]


def show_components(name: str | None, console: Console) -> None:
    """Print the slots and their components, or every option of one component, or of one slot's.

    Raises:
        UserError: There is no such slot or component.
    """
    load_components()
    if name is None:
        _show_slots(console)
    elif name == TRAINING:
        say(f"{TRAINING}: how every variant is pretrained", console, style="bold")
        _show_options(_training_rows(), console)
    else:
        for component in _found(name):
            _show_component(component, console)


def _found(name: str) -> list[ComponentSpec[Any]]:
    if name in SLOTS:
        return list(SLOTS[name])
    components = [component for registry in SLOTS.values() for component in registry]
    found = [component for component in components if component.name == name]
    if not found:
        known = [*SLOTS, TRAINING, *(component.name for component in components)]
        raise UserError(f"components {name}: there is no such component; {suggest(name, known)}")
    return found


def _show_slots(console: Console) -> None:
    rows: list[tuple[str, ...] | None] = []
    for slot, registry in SLOTS.items():
        for index, component in enumerate(registry):
            rows.append((slot if index == 0 else "", component.name, component.summary))
        if registry.optional:
            rows.append(("", "none", "Off: not built at all."))
        rows.append(None)
    rows.append((TRAINING, "", "How every variant is pretrained."))
    title = "Components; cmae-ablate components NAME lists options"
    say_table(("slot", "component", "what it is"), rows, console, title=title)


def _show_component(component: ComponentSpec[Any], console: Console) -> None:
    say(f"{component.slot}: {component.name} (version {component.version})", console, style="bold")
    say(_folded(component.facts.doc.partition("\nArgs:")[0].strip(), console), console)
    _show_options(_rows(component), console)


def _show_options(rows: Sequence[OptionRow], console: Console) -> None:
    if not rows:
        say("No options.\n", console)
        return
    if _has_room(rows, console):
        _show_table(rows, console)
    else:
        for row in rows:
            _show_option(row, console)
    say("", console)


def _has_room(rows: Sequence[OptionRow], console: Console) -> bool:
    """Whether a table of the options has room for whole words."""
    columns = (
        [row.option or "option" for row in rows],
        ["type", *(row.type for row in rows)],
        ["default", *(_shown(row.default) for row in rows)],
    )
    whole = sum(max(map(len, column)) for column in columns)
    return whole + RANGE_WIDTH + MEANING_WIDTH + FRAME * (len(columns) + 2) + 1 <= console.width


def _show_table(rows: Sequence[OptionRow], console: Console) -> None:
    header = (
        Column("option", in_one_piece=True),
        Column("type", in_one_piece=True),
        "range",
        Column("default", in_one_piece=True),
        "meaning, and what the source has",
    )
    cells = [
        (
            row.option or "",
            row.type,
            row.range,
            _shown(row.default),
            f"{row.meaning}\nSource: {row.source}" if row.source else row.meaning,
        )
        for row in rows
    ]
    say_table(header, cells, console, ruled=True)


def _show_option(row: OptionRow, console: Console) -> None:
    """What the table has in a row, in lines below one another."""
    say("", console)
    say(row.option or "", console, style="bold")
    default = REQUIRED if row.default == REQUIRED else f"default {_shown(row.default)}"
    lines = (
        f"{row.type}: {row.range}; {default}",
        row.meaning,
        f"Source: {row.source}" if row.source else "",
    )
    for line in lines:
        if line:
            say(textwrap.indent(_folded(line, console, indent=2), "  "), console)


def _folded(text: str, console: Console, indent: int = 0) -> str:
    """The paragraphs that are too wide for the console, folded at words; the others as they are written."""
    width = console.width - indent
    return "\n\n".join(
        paragraph
        if max(map(len, paragraph.split("\n"))) <= width
        else textwrap.fill(" ".join(paragraph.split()), width, break_long_words=False, break_on_hyphens=False)
        for paragraph in text.split("\n\n")
    )


def _bare(component: ComponentSpec[Any]) -> OptionRow:
    return OptionRow(component.slot, component.name)


def _training_rows() -> list[OptionRow]:
    properties = Training.model_json_schema()["properties"]
    return [_row(TRAINING, TRAINING, option, entry, "") for option, entry in properties.items()]


def _rows(component: ComponentSpec[Any]) -> list[OptionRow]:
    docs, properties = option_docs(component), component.options.model_json_schema()["properties"]
    return [
        _row(component.slot, component.name, option, entry, docs.get(option, ""))
        for option, entry in properties.items()
    ]


def _row(slot: str, name: str, option: str, entry: dict[str, Any], documented: str) -> OptionRow:
    kind, limits = _type_and_range(entry)
    meaning, source = split_source(documented or " ".join(entry.get("description", "").split()))
    return OptionRow(slot, name, option, kind, entry.get("default", REQUIRED), limits, source, meaning)


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
    return default if isinstance(default, str) and default else json.dumps(default)
