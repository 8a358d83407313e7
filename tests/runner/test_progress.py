"""What a command shows of its own cells, while others leave notes beside them."""

from __future__ import annotations

from pathlib import Path

from cmae_ablate.runner.progress import CellNote, Monitor, NoteWriter, read_notes
from tests.whole_study import quiet, said


def leave(folder: Path, cell: str) -> None:
    NoteWriter(folder, cell).write(CellNote(cell, f"depth 1, {cell}", "complete"))


def test_cells_of_a_command_with_other_settings_are_neither_counted_nor_shown(tmp_path: Path) -> None:
    console = quiet()
    with Monitor(tmp_path, ["mine", "mine too"], 1, console):
        leave(tmp_path, "theirs")
        leave(tmp_path, "mine")
    assert said(console) == "2/2 depth 1, mine: complete"


def test_old_notes_on_its_own_cells_are_removed_and_those_of_another_command_stay(tmp_path: Path) -> None:
    console = quiet()
    leave(tmp_path, "theirs")
    leave(tmp_path, "mine")
    with Monitor(tmp_path, ["mine"], 0, console):
        pass
    assert said(console) == ""
    assert [note.cell for note in read_notes(tmp_path)] == ["theirs"]
