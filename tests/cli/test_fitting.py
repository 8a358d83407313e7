"""Tables at the widths of terminals: no word is broken where there is a way to keep it whole."""

from __future__ import annotations

import io

from rich.console import Console

from cmae_ablate.cli.fitting import fits, show_fitting
from cmae_ablate.report.terminal import show_table

HEADER = (
    "variant",
    "seeds",
    "epochs",
    "encoder",
    "decoder",
    "GFLOP / image",
    "memory / cell",
    "time / cell",
)
ROWS = [
    ["depth 4 (reference)", "0-2", "4", "0.47 M", "0.22 M", "0.0751", "0.039 GB", "1.0 min"],
    ["positive control", "0-2", "1", "0.47 M", "0.22 M", "0.0751", "0.039 GB", "0.4 min"],
]


def shown(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    show_fitting(HEADER, ROWS, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_terminal_of_80_columns_gets_whole_words_in_parts_that_repeat_the_labels() -> None:
    lines = shown(80)
    assert max(len(line) for line in lines) <= 80
    text = "\n".join(lines)
    words = {word for row in (HEADER, *ROWS) for cell in row for word in cell.split()}
    assert words <= set(text.split())
    assert "depth 4 (reference)" in text
    assert text.count("positive control") == 2


def test_a_column_that_only_just_fits_is_not_squeezed_for_the_margins() -> None:
    header, row = ("variant", "a", "b"), ["random init", "x" * 20, "y" * 23]
    console = Console(file=io.StringIO(), width=11 + 20 + 23 + 2 * 3 + 1)  # one margin short
    show_table([header, row], "", console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("random init") == 2


def test_a_wide_terminal_gets_one_frame() -> None:
    lines = shown(160)
    assert lines[0].startswith("\N{BOX DRAWINGS HEAVY DOWN AND RIGHT}")
    row = next(line for line in lines if "positive control" in line)
    assert sum("positive control" in line for line in lines) == 1
    assert "   1.0 min \u2502" not in row
    assert row.endswith("0.4 min \u2502")  # numbers stand to the right, as on a narrow one


def test_a_frame_fits_when_borders_margins_and_words_do() -> None:
    header, rows = ("cell", "log"), [["a", "12345678"]]
    # | cell | 12345678 | : 4 + 8 characters, two a column for margins, three borders.
    assert fits(header, rows, Console(width=19))
    assert not fits(header, rows, Console(width=18))


def test_a_long_label_folds_and_takes_no_more_than_its_share() -> None:
    label = "small decoder + contrastive + position + plain crop"  # folds at 24 characters
    assert fits(("variant", "n"), [[label, "5"]], Console(width=24 + 1 + 2 * 3 + 1))


def test_a_table_without_rows_is_shown() -> None:
    console = Console(file=io.StringIO(), width=40)
    show_fitting(("variant", "n"), [], console)
