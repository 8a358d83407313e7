"""The house as `ls` shows it; `make check` holds the layers themselves (import-linter, pyproject.toml)."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cmae_ablate"
MOST_ROOMS, MOST_FILES = 10, 12
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 50
SAME_LINES = 6
BETTER_WHOLE: dict[str, str] = {}
"""Why a file, `room/x.py`, or a function, `room/x.py name`, is longer and would read worse in two."""


def layers() -> set[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    of_rooms = next(contract for contract in contracts if contract["type"] == "layers")
    assert of_rooms["exhaustive"], "a new room must take its place among the layers"
    return {name.strip() for layer in of_rooms["layers"] for name in layer.split("|")}


def rooms() -> set[str]:
    return {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}


def test_the_package_is_a_few_rooms_and_a_small_ground_floor() -> None:
    assert len(rooms()) <= MOST_ROOMS
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_FILES


def test_every_room_and_ground_module_has_its_layer() -> None:
    ground = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert layers() == (rooms() - {"assets"}) | ground


def test_contributing_shows_every_room_and_every_module_it_names_exists() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    table = dict(re.findall(r"^\| `(\w+)/` \| .*?\| (.*) \|$", page, flags=re.MULTILINE))
    assert set(table) == rooms() - {"assets"}
    for room, modules in table.items():
        for name in re.findall(r"`([\w/]+)`", modules):
            path = PACKAGE / room / name
            assert path.is_dir() or path.with_suffix(".py").is_file(), path


def lengths() -> dict[str, tuple[int, int]]:
    """Lines of every file and function of the package, from `def` to its end, and how many it may have."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        text, name = path.read_text(), path.relative_to(PACKAGE).as_posix()
        found[name] = (len(text.splitlines()), MOST_LINES)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                found[f"{name} {node.name}"] = (lines, MOST_LINES_OF_A_FUNCTION)
    return found


def test_no_file_and_no_function_is_long_but_those_that_say_why() -> None:
    long = {name for name, (lines, most) in lengths().items() if lines > most}
    assert sorted(long - set(BETTER_WHOLE)) == [], "split it by what it is for, or say why it is better whole"
    assert sorted(set(BETTER_WHOLE) - long) == [], "it is short by now: strike it out"
    assert all(BETTER_WHOLE.values())


def statements(tree: ast.Module, lines: list[str]) -> list[tuple[int, str]]:
    """Lines, with their numbers, that do something: no blanks, comments, docstrings, imports, signatures.

    A component's signature is its options and their checks, and stays whole in its own file.
    """
    said: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            said.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            said.update(range(node.lineno, node.body[0].lineno))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring, or `...`
            said.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    stripped = ((number, line.strip()) for number, line in enumerate(lines, start=1) if number not in said)
    return [(number, line) for number, line in stripped if line and line[0] not in "#@"]


def test_no_six_lines_stand_twice() -> None:
    places: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        found = statements(ast.parse(text), text.splitlines())
        for first in range(len(found) - SAME_LINES + 1):
            window = found[first : first + SAME_LINES]
            place = f"{path.relative_to(PACKAGE).as_posix()}:{window[0][0]}"
            places[tuple(line for _, line in window)].add(place)
    assert len(places) > 10_000, "nothing was read"
    assert sorted(sorted(each) for each in places.values() if len(each) > 1) == []


def test_modules_are_loaded_by_name_in_one_place_only() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in {"__import__", "import_module", "importlib.import_module", "plugin.load"}:
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found == {"components/loading.py"}


def test_components_import_no_registered_component() -> None:
    files = sorted((PACKAGE / "components").rglob("*.py"))
    registered = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in files
        if ".register(" in path.read_text() and path.name not in {"registry.py", "protocols.py"}
    }
    assert len(registered) > 10
    for path in files:
        imported = {
            node.module or ""
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
        }
        assert not imported & registered, path
