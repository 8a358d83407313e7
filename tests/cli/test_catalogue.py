"""The options of a component on terminals of any width: no word is broken, and nothing is left out."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cmae_ablate.cli.catalogue import option_rows, show_components
from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS


def shown(name: str, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    show_components(name, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 200])
def test_words_of_every_option_stay_whole_at_any_width(width: int) -> None:
    load_components()
    for slot in [*SLOTS, "training"]:
        text = shown(slot, width)
        words = set(text.split())
        for row in option_rows(slot):
            told = f"{row.option or ''} {row.type} {row.range} {row.meaning} {row.source}"
            missing = {word.strip(",.;:") for word in told.split()} - {word.strip(",.;:") for word in words}
            assert not missing, (slot, row.name, row.option, width)
        assert max(map(len, text.splitlines())) <= width, (slot, width)


def test_a_narrow_terminal_gets_an_option_a_paragraph() -> None:
    text = shown("random", 80)
    assert "\nratio\n  number: > 0, < 1; default 0.75\n  Part of the patches that is hidden; " in text
    assert "\u2503" in shown("contrastive", 200)
    assert "\u2503" not in shown("contrastive", 80)


@pytest.mark.parametrize("width", [80, 200])
def test_a_default_that_is_an_empty_text_is_seen(width: int) -> None:
    lines = shown("training", width).splitlines()
    if width == 80:
        assert lines[lines.index("probe_with") + 1] == '  string: any; default ""'
    else:
        [row] = [line for line in lines if "probe_with " in line]
        assert '""' in row
