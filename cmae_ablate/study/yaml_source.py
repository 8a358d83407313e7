"""Safe YAML with the place of every value, for errors that say where."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cmae_ablate.errors import UserError
from cmae_ablate.files import read_regular
from cmae_ablate.study.yaml_syntax import syntax_fault

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_NUMBER = 100
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
    """A value in a file, or in the part of it below `prefix`.

    Attributes:
        file: The file's name.
        marks: Line and column by dotted path, so that `{set: {training.epochs: 3}}` is found like
            `{set: {training: {epochs: 3}}}`.
        prefix: Where the part begins.
        texts: What plain values are spelt like, by dotted path.
    """

    file: str
    marks: dict[str, tuple[int, int]]
    prefix: KeyPath = ()
    texts: dict[str, str] = field(default_factory=dict)

    def below(self, *keys: str) -> YamlOrigin:
        """The same file, with paths taken relative to `keys`."""
        return replace(self, prefix=(*self.prefix, *keys))

    def text(self, *path: str) -> str:
        """The plain value at a path as the file spells it, `1.10` or `yes`, whatever YAML makes of it."""
        return self.texts[_dotted((*self.prefix, *path))]

    def place(self, path: KeyPath) -> str:
        """`FILE:LINE:COLUMN: key.path` of the value, or of the nearest enclosing one."""
        full = (*self.prefix, *path)
        known = full
        while known and _dotted(known) not in self.marks:
            known = known[:-1]
        line, column = self.marks.get(_dotted(known), (1, 1))
        key = f": {_dotted(full)}" if full else ""
        return f"{self.file}:{line}:{column}{key}"

    def error(self, path: KeyPath, message: str) -> UserError:
        """A mistake in the value at `path`."""
        return UserError(f"{self.place(path)}: {message}")


def _dotted(path: KeyPath) -> str:
    return ".".join(path)


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
        line, column, message = syntax_fault(error, text)
        where = f"{file}:{line}:{column}" if line else file
        raise UserError(f"{where}: {message}") from error
    except YAMLError as error:
        raise UserError(
            f"{file}: this is no YAML: {str(error).splitlines()[0]}; save it as UTF-8 text"
        ) from error
    if not isinstance(node, MappingNode):
        raise UserError(f"{file}:1:1: a mapping of keys to values is expected; see studies/ for examples")
    marks: dict[str, tuple[int, int]] = {}
    texts: dict[str, str] = {}
    value = _plain(node, (), marks, texts, file)
    assert isinstance(value, dict)
    return value, YamlOrigin(file, marks, texts=texts)


def parse_value(text: str, place: str) -> Any:
    """Read one value typed in a line: a number, a word, true, false, null, or `{...}` and `[...]` of them.

    YAML reads more than that, and drops what it takes for a comment. What it would cut, or read as another
    number than is written, is refused.

    Args:
        text: As typed.
        place: How an error message begins: argument and key.

    Raises:
        UserError: It is no such value.
    """
    quoting = "quote it as in --set 'decoder={name: linear}'"
    try:
        _check_events(text, place, tags=False)
        node = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        raise UserError(f"{place}: this is no YAML value; {quoting}") from error
    typed = text.strip()
    if node is None or "\n" in typed:
        raise UserError(f"{place}: one value in one line is expected; {quoting}")
    if not isinstance(node, ScalarNode) and not typed.startswith(("{", "[")):
        raise UserError(f"{place}: write lists as [...] and mappings as {{...}}; {quoting}")
    read = text[node.start_mark.index : node.end_mark.index].strip()
    if read != typed:
        raise UserError(
            f"{place}: YAML would read only '{read}' of it and drop the rest; leave the rest out, or put "
            "quotes around the value"
        )
    _check_spelling(node, place)
    return _plain(node, (), {}, {}, place)


_AS_WRITTEN = {
    "int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    "float": re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"),
}
"""The numbers that everybody reads alike; YAML also knows 0x10, 0o10, 010, 1_000 and .inf."""


def _check_spelling(node: Node, place: str) -> None:
    if isinstance(node, ScalarNode):
        kind = _kind(node)
        pattern = _AS_WRITTEN.get(kind)
        if pattern is not None and not pattern.fullmatch(str(node.value)):
            found = _scalar(node, place)
            raise UserError(
                f"{place}: YAML reads '{node.value}' as {found}; write the number in plain decimal digits, "
                "or put quotes around it if it is a text"
            )
        return
    for each in node.value:
        for part in each if isinstance(each, tuple) else (each,):
            _check_spelling(part, place)


def _read(path: Path) -> str:
    try:
        content = read_regular(path, MAX_BYTES)
        return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8").read()
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file; check the path") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); is this the right file?") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text: {error}; save it as UTF-8") from error


_HALF = re.compile("[\ud800-\udfff]")


def _check_events(text: str, file: str, *, tags: bool = True) -> None:
    # On the event stream, before any tree is built: neither depth nor aliases can exhaust anything here.
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, AliasEvent):
            raise UserError(f"{file}:{line}:{column}: aliases (*name) are not allowed; write the value out")
        if not tags and any(getattr(event, name, None) is not None for name in ("tag", "anchor")):
            raise UserError(f"{file}: tags and anchors (!name, &name) are not allowed; write a plain value")
        if isinstance(event, ScalarEvent) and not event.value.isascii() and _HALF.search(event.value):
            raise UserError(
                f"{file}:{line}:{column}: half of a character (\\ud800 to \\udfff); write it whole"
            )
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise UserError(f"{file}:{line}:{column}: nested deeper than {MAX_DEPTH} levels; flatten it")


def _plain(
    node: Node,
    path: KeyPath,
    marks: dict[str, tuple[int, int]],
    texts: dict[str, str],
    file: str,
) -> Any:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    marks.setdefault(_dotted(path), (line, column))
    if isinstance(node, ScalarNode):
        texts[_dotted(path)] = str(node.value)
        return _scalar(node, f"{file}:{line}:{column}")
    if isinstance(node, SequenceNode):
        return [_plain(item, (*path, str(i)), marks, texts, file) for i, item in enumerate(node.value)]
    assert isinstance(node, MappingNode)
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        if not isinstance(key_node, ScalarNode):
            raise UserError(f"{file}:{line}:{column}: a key must be a word or a number")
        key = str(key_node.value)
        if key in result:
            raise UserError(
                f"{file}:{line}:{column}: {_dotted((*path, key))}: the key stands twice; remove one"
            )
        marks[_dotted((*path, key))] = (line, column)
        result[key] = _plain(value_node, (*path, key), marks, texts, file)
    return result


def _scalar(node: ScalarNode, place: str) -> Any:
    kind, text = _kind(node), str(node.value)
    if kind in {"str", "timestamp"}:
        return text
    if kind not in {"int", "float", "bool", "null"}:
        raise UserError(f"{place}: the tag '{node.tag}' is not allowed; write a plain value")
    if len(text) > MAX_NUMBER:
        raise UserError(f"{place}: a number of {len(text):,} characters; no setting needs that")
    try:
        return YAML(typ="safe", pure=True).constructor.construct_object(node, deep=True)
    except (YAMLError, ValueError) as error:
        raise UserError(f"{place}: '{text}' is no {kind}; write a plain value") from error


def _kind(node: ScalarNode) -> str:
    return str(node.tag).rsplit(":", maxsplit=1)[-1]
