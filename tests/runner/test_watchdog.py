"""Cells without a step are named, once, by whoever may see them, and left alone."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from cmae_ablate.runner import progress
from cmae_ablate.runner.progress import CellNote, Monitor, NoteWriter
from cmae_ablate.runner.watchdog import Watchdog, clock

NOTE = CellNote("id", "depth 1, seed 0", "evaluating", 3, 9, log="/logs/worker-0.log", patience=60)


def test_it_says_once_how_long_nothing_came_and_again_after_the_next_step() -> None:
    said: list[float] = []
    heard = threading.Event()

    def say(seconds: float) -> None:
        said.append(seconds)
        heard.set()

    with Watchdog(0.05, say) as watchdog:
        assert heard.wait(30)
        time.sleep(0.3)
        assert len(said) == 1
        heard.clear()
        watchdog.step()
        assert heard.wait(30)
    assert len(said) == 2
    assert min(said) >= 0.05


def test_steps_keep_it_silent() -> None:
    said: list[float] = []
    with Watchdog(60, said.append) as watchdog:
        for _ in range(5):
            watchdog.step()
    assert said == []


def test_a_note_is_stalled_when_its_patience_is_over_and_its_cell_is_not() -> None:
    note = replace(NOTE, at=1000.0)
    assert note.stalled(1060.0) is None
    assert note.stalled(1090.0) == 90.0
    assert replace(note, phase="complete").stalled(9999.0) is None


def test_the_command_names_a_stalled_cell_once_and_says_when_it_goes_on(
    tmp_path: Path,
) -> None:
    console = Console(file=io.StringIO(), width=300)
    with Monitor(tmp_path, ["id"], 0, console) as monitor:
        NoteWriter(tmp_path, "id").write(replace(NOTE, patience=0.0))
        time.sleep(0.01)
        for _ in range(2):
            monitor._look()
        NoteWriter(tmp_path, "id").write(NOTE)
        monitor._look()
    assert isinstance(console.file, io.StringIO)
    told = console.file.getvalue()
    assert told.count("no step for") == 1
    assert "depth 1, seed 0 (evaluating, step 3 of 9), since" in told
    assert "a second Ctrl-C stops it at once" in told
    assert "log: /logs/worker-0.log" in told
    assert told.count("depth 1, seed 0: goes on") == 1


def test_waiting_for_another_worker_is_no_stall(tmp_path: Path, monkeypatch: object) -> None:
    writer = NoteWriter(tmp_path, "id")
    writer.write(NOTE)
    assert writer.last is not None
    first = writer.last.at
    writer._last -= progress.WRITE_SECONDS  # half a second later
    writer.again()
    assert writer.last.at > first


def test_the_date_is_said_where_it_is_not_today() -> None:
    now = time.time()
    assert clock(now) == time.strftime("%H:%M:%S", time.localtime(now))
    assert clock(0.0).startswith(("1970-01-01", "1969-12-31"))
