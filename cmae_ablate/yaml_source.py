"""Safe YAML with the place of every value, for errors that say where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cmae_ablate.errors import UserError

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
KeyPath = tuple[str, ...]


class Origin(Protocol):
    """Where a value came from."""

    def place(self, path: KeyPath) -> str:
        """Place and key of the value at `path`, as an error message begins."""
        ...


@dataclass(frozen=True)
class TextOrigin:
    """A value from the command line: the argument is the place."""

    text: str

    def place(self, path: KeyPath) -> str:
        """The argument as typed."""
        return self.text


@dataclass(frozen=True)
class YamlOrigin:
    """A value in a file, or in the part of it below `prefix`."""

    file: str
    marks: dict[KeyPath, tuple[int, int]]
    prefix: KeyPath = ()

    def below(self, *keys: str) -> YamlOrigin:
        """The same file, with paths taken relative to `keys`."""
        return YamlOrigin(self.file, self.marks, (*self.prefix, *keys))

    def place(self, path: KeyPath) -> str:
        """`FILE:LINE:COLUMN: key.path` of the value, or of the nearest enclosing one."""
        full = (*self.prefix, *path)
        known = full
        while known and known not in self.marks:
            known = known[:-1]
        line, column = self.marks.get(known, (1, 1))
        key = f": {'.'.join(full)}" if full else ""
        return f"{self.file}:{line}:{column}{key}"


def load_yaml(path: Path) -> tuple[dict[str, Any], YamlOrigin]:
    """Read a mapping from a YAML 1.2 file.

    Refused, besides broken syntax: aliases, duplicate keys, tags, nesting over 20 levels, files over 1 MB.

    Raises:
        UserError: The file cannot be read or is refused; the message names file, line and column.
    """
    text = _read(path)
    file = str(path)
    try:
        _check_events(text, file)
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise UserError(f"{where}: {_syntax_message(error, text)}") from error
    except YAMLError as error:
        raise UserError(
            f"{file}: this is no YAML: {str(error).splitlines()[0]}; save it as UTF-8 text"
        ) from error
    if not isinstance(node, MappingNode):
        raise UserError(f"{file}:1:1: a mapping of keys to values is expected; see studies/ for examples")
    marks: dict[KeyPath, tuple[int, int]] = {}
    value = _plain(node, (), marks, file)
    assert isinstance(value, dict)
    return value, YamlOrigin(file, marks)


def parse_scalar(text: str) -> Any:
    """Read the value of a `--set`: one YAML value, flow style allowed (`{name: linear}`).

    Raises:
        UserError: It is no YAML value.
    """
    try:
        _check_events(text, text)
        node = YAML(typ="safe", pure=True).compose(text)
        return None if node is None else _plain(node, (), {}, text)
    except YAMLError as error:
        raise UserError(
            f"{text}: this is no YAML value; quote it as in --set 'decoder={{name: linear}}'"
        ) from error


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: over {MAX_BYTES:,} bytes; no study needs that, is this the right file?")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file; check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _check_events(text: str, file: str) -> None:
    # On the event stream, before any tree is built: neither depth nor aliases can exhaust anything here.
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, AliasEvent):
            raise UserError(f"{file}:{line}:{column}: aliases (*name) are not allowed; write the value out")
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise UserError(f"{file}:{line}:{column}: nested deeper than {MAX_DEPTH} levels; flatten it")


def _plain(node: Node, path: KeyPath, marks: dict[KeyPath, tuple[int, int]], file: str) -> Any:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    marks.setdefault(path, (line, column))
    if isinstance(node, ScalarNode):
        return _scalar(node, f"{file}:{line}:{column}")
    if isinstance(node, SequenceNode):
        return [_plain(item, (*path, str(i)), marks, file) for i, item in enumerate(node.value)]
    assert isinstance(node, MappingNode)
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        if not isinstance(key_node, ScalarNode):
            raise UserError(f"{file}:{line}:{column}: a key must be a word or a number")
        key = str(key_node.value)
        if key in result:
            raise UserError(
                f"{file}:{line}:{column}: {'.'.join((*path, key))}: the key stands twice; remove one"
            )
        marks[(*path, key)] = (line, column)
        result[key] = _plain(value_node, (*path, key), marks, file)
    return result


def _scalar(node: ScalarNode, place: str) -> Any:
    kind = str(node.tag).rsplit(":", maxsplit=1)[-1]
    text = str(node.value)
    if kind in {"str", "timestamp"}:
        return text
    if kind not in {"int", "float", "bool", "null"}:
        raise UserError(f"{place}: the tag '{node.tag}' is not allowed; write a plain value")
    return YAML(typ="safe", pure=True).constructor.construct_object(node, deep=True)


def _syntax_message(error: MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if "\t" in line:
        return "a tab is used for indentation; indent with spaces"
    return f"{error.problem or error.context}; fix the syntax there"
