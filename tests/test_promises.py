"""The tables of promises name tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROWS = [
    line
    for line in (ROOT / "docs" / "promises.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| promise |", "| what happens |"))
]


def functions_of(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_a_test_that_exists() -> None:
    assert len(ROWS) > 40
    for row in ROWS:
        named = re.findall(r"`(tests/[\w/]*(?:\.py)?)(?:::(\w+))?`", row)
        assert named, f"no test is named: {row}"
        for place, name in named:
            assert (ROOT / place).exists(), place
            assert not name or name in functions_of(ROOT / place), f"{place} has no {name}"
