"""Valid inputs, spoilt a little: bytes, texts and JSON trees. All that is random comes from one generator."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

TOKENS = (
    *(
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\t",
        b" ",
        b"",
    ),
    *(b"9" * 6000, b"-1", b"0", b"1e999", b"-1e-999", b"nan", b".inf", b"Infinity", b"0x10", b"1_0", b"1,5"),
    *(b"&a ", b"*a", b"<<: ", b"!!python/object:os.system ", b"? ", b"- ", b": ", b"# ", b"%", b"|", b">"),
    *(
        b"'",
        b'"',
        b"[" * 40,
        b"{" * 3000,
        b"]",
        b"}",
        b"=",
        b"@x",
        b"+x",
        b";",
        b",",
        b",,",
        b"[/x]",
        b"\x1b[2J",
    ),
    *(
        b"~",
        b"null",
        b"true",
        b"none",
        b"no",
        b"\xe2\x80\xae",
        b"\xe2\x88\x92",
        b"e\xcc\x81",
        b"..",
        b"/dev/zero",
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 10**5, 2**63, 10**30, -(10**400), 0.5, -0.0, 1e308, float("inf")),
    *(float("nan"), "", "x", "\x00", "\ud800", "1", "x" * 3000, "[/x]\x1b", "../../etc", "/dev/zero", "none"),
    *([], {}, [None], [[]], {"": None}, {"a": 1}, [1, 2, 3], ["a", 0], [["a", 0]], [{}]),
)


def mutated(data: bytes, others: list[bytes], random: Random) -> bytes:
    """Some bytes of `data` changed, cut, doubled, or exchanged for a token or a piece of another input."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        start, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
        end = min(end, start + random.choice((0, 1, 4, 32, len(data))))
        match random.randrange(7):
            case 0:
                piece = bytes(each ^ (1 << random.randrange(8)) for each in data[start : start + 1])
                end = start + len(piece)
            case 1:
                piece = b""
            case 2:
                piece = data[start:end] * random.choice((2, 2, 3, 50))
            case 3:
                piece = random.choice(TOKENS)
            case 4:
                other = random.choice(others)
                piece = other[random.randrange(len(other) + 1) :][: random.choice((4, 16, 64, 1000))]
            case 5:
                piece = random.randbytes(end - start)
            case _:
                piece, end = b"", len(data)  # cut off
        data = data[:start] + piece + data[end:]
    return data


def mutated_lines(data: bytes, others: list[bytes], random: Random) -> bytes:
    """Whole lines and fields exchanged, so that what comes out still looks like what went in."""
    lines = data.split(b"\n")
    for _ in range(random.choice((1, 1, 2, 4))):
        index = random.randrange(len(lines))
        match random.randrange(5):
            case 0:
                other = random.choice(others).split(b"\n")
                lines[index] = random.choice(other)
            case 1:
                lines.insert(index, lines[random.randrange(len(lines))])
            case 2:
                lines[index] = b" " * random.randrange(4) + lines[index]
            case _:
                lines[index] = _mutated_field(lines[index], random)
        if not lines:
            lines = [b""]
    return b"\n".join(lines)


def _mutated_field(line: bytes, random: Random) -> bytes:
    separator = next((each for each in (b",", b": ", b"=") if each in line), b" ")
    fields = line.split(separator)
    fields[random.randrange(len(fields))] = random.choice((*TOKENS, *fields, b"%d" % random.randrange(1000)))
    return separator.join(fields)


def mutated_tree(tree: Any, random: Random) -> Any:
    """A copy with some of its nodes exchanged, renamed, removed or doubled."""
    found = copy.deepcopy(tree)
    for _ in range(random.choice((1, 1, 2, 3))):
        places = list(_places(found))
        if not places:
            break
        parent, key = random.choice(places)
        match random.randrange(6):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, dict):
                parent[random.choice(("", "x", "\x00", "a.b", f"{key} "))] = parent.pop(key)
            case 2:
                other, at = random.choice(places)
                parent[key] = copy.deepcopy(other[at])
            case _:
                parent[key] = copy.deepcopy(random.choice(VALUES))
    return found


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def as_json(tree: Any) -> bytes:
    """The tree as JSON, with the numbers and lone surrogates that Python writes into it."""
    return json.dumps(tree).encode("utf-8", "surrogatepass")
