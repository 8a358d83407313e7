"""A study of seconds on two data sets, for tests."""

from __future__ import annotations

from pathlib import Path

from tests.tiny import TINY_STUDY

BLOCKS = "datasets:\n  here: {name: scenes}\n  there: {name: scenes, seed: 1}\n"


def blocks(path: Path, added: str = BLOCKS, study: str = TINY_STUDY) -> Path:
    path.write_text(study + added)
    return path
