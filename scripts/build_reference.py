"""Hooks of mkdocs: the reference's pages, made from the package, and links that lead out of `docs/`.

make docs                                   # builds build/site
python scripts/build_reference.py FOLDER    # only the reference's pages
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PICTURES = (".png", ".svg", ".jpg")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
SECTION = re.compile(r"<!-- section of ([\w./]+): (.+?) -->")


def pages() -> dict[str, str]:
    """Every page of the reference by file name."""
    return {
        "commands.md": "# Commands\n\n" + "\n".join(_commands()),
        "study-file.md": "# The study file\n\n" + "\n".join(_study_file()),
        "components.md": "# Components\n\n" + "\n".join(_components()),
        "python.md": "# Python\n\n" + "\n".join(_python()),
    }


def _commands() -> Iterator[str]:
    import typer.main

    from cmae_ablate.cli.app import app

    yield "`cmae-ablate COMMAND --help` says the same.\n"

    def below(command: Any, path: str) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            for name, each in sorted(command.commands.items()):
                yield from below(each, f"{path} {name}")
        else:
            yield path, command

    for path, command in below(typer.main.get_command(app), "cmae-ablate"):
        yield f"## `{path}`\n\n{inspect.cleandoc(command.help or '')}\n"
        rows = []
        for parameter in command.params:
            names = ", ".join(f"`{name}`" for name in parameter.opts)
            if getattr(parameter, "param_type_name", "") == "argument":
                names = f"`{(parameter.metavar or parameter.name or '').upper()}`"
            rows.append((names, getattr(parameter, "help", None) or ""))
        if rows:
            yield _table(("option", "meaning"), rows)


def _study_file() -> Iterator[str]:
    from cmae_ablate.study.schema import study_schema

    schema = study_schema()
    yield "Made from the JSON Schema that `cmae-ablate schema` prints.\n"
    required = set(schema.get("required", ()))
    rows = [
        (
            f"`{name}`",
            "yes" if name in required else "",
            _kind(entry, schema),
            " ".join(str(entry.get("description", "")).split()),
        )
        for name, entry in schema.get("properties", {}).items()
    ]
    yield _table(("key", "required", "is", "meaning"), rows)


def _kind(entry: Any, schema: Mapping[str, Any]) -> str:
    """What a value may be, in a word or two."""
    if not isinstance(entry, Mapping):
        return "anything"
    if "$ref" in entry:
        return str(entry["$ref"]).rpartition("/")[2]
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "const" in entry:
        return f"`{entry['const']}`"
    for key in ("anyOf", "oneOf"):
        if key in entry:
            return " or ".join(dict.fromkeys(_kind(each, schema) for each in entry[key]))
    kind = entry.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _components() -> Iterator[str]:
    from cmae_ablate.cli.catalogue import option_rows
    from cmae_ablate.components.registry import SLOTS

    rows = option_rows()
    docs = {
        (slot, component.name): component.facts.doc
        for slot, registry in SLOTS.items()
        for component in registry
    }
    yield "`cmae-ablate components NAME` says the same of one.\n"
    slot = ""
    for key in dict.fromkeys((row.slot, row.name) for row in rows):
        if key[0] != slot:
            slot = key[0]
            yield f"## {slot}\n"
        yield f"### `{key[1]}`\n\n{docs.get(key, '').partition('Args:')[0].strip()}\n"
        options = [row for row in rows if (row.slot, row.name) == key and row.option]
        if options:
            yield _table(
                ("option", "type", "range", "default", "meaning", "source"),
                [
                    (f"`{o.option}`", o.type, o.range, f"`{json.dumps(o.default)}`", o.meaning, o.source)
                    for o in options
                ],
            )


def _python() -> Iterator[str]:
    import cmae_ablate

    yield "As in `import cmae_ablate as ca`.\n"
    members = [(name, getattr(cmae_ablate, name)) for name in cmae_ablate.__all__]
    for name, member in sorted(members, key=lambda each: inspect.isclass(each[1])):
        yield f"## {name}\n\n{_signature(f'ca.{name}', member)}{_doc(member)}\n"
        for own, each in vars(member).items() if inspect.isclass(member) else ():
            if not own.startswith("_") and (inspect.isfunction(each) or isinstance(each, property)):
                yield f"### {name}.{own}\n\n{_signature(f'{name}.{own}', each)}{_doc(each)}\n"


def _signature(name: str, member: Any) -> str:
    """A function's, as code; nothing for what is not called."""
    if not inspect.isfunction(member):
        return ""
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(member)))
    return f"```python\n{name}{signature}\n```\n\n"


def _doc(member: Any) -> str:
    """A Google-style docstring as Markdown."""
    text = inspect.getdoc(member) or ""
    text = re.sub(r"(?m)^(Args|Attributes|Returns|Raises):$", r"\n**\1**\n", text)
    return re.sub(r"(?m)^ {4}(\w+): ", r"- `\1`: ", text)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...]) -> str:
        shown = (" ".join(str(cell).split()).replace("|", "\\|").replace("<", "&lt;") for cell in cells)
        return f"| {' | '.join(shown)} |"

    return "\n".join([line(header), line(("---",) * len(header)), *map(line, rows)]) + "\n"


def write(folder: Path) -> list[Path]:
    """Write the reference's pages; those that are as they were stay untouched."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in pages().items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def on_pre_build(config: Any) -> None:
    """mkdocs: before the pages are looked for."""
    write(DOCS / "reference")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """mkdocs: sections of other documents are put in; what lies outside of `docs/` is shown or named."""
    from mkdocs.structure.files import File

    def section(found: re.Match[str]) -> str:
        text = (ROOT / found[1]).read_text(encoding="utf-8")
        return text.partition(f"\n## {found[2]}\n")[2].partition("\n## ")[0].strip()

    def link(found: re.Match[str]) -> str:
        picture, words, target, _ = found.groups()
        path = (DOCS / page.file.src_uri).parent / target
        if "://" in target or not path.is_file() or path.resolve().is_relative_to(DOCS):
            return found[0]
        place = path.resolve().relative_to(ROOT).as_posix()
        if not picture:
            return f"{words} (`{place}` in the repository)" if words.strip("`") != place else f"`{place}`"
        files.append(File.generated(config, f"pictures/{place}", abs_src_path=str(path.resolve())))
        up = "../" * page.file.src_uri.count("/")
        return f"![{words}]({up}pictures/{place})"

    return LINK.sub(link, SECTION.sub(section, markdown))


if __name__ == "__main__":
    for written in write(Path(sys.argv[1])):
        print(written)
