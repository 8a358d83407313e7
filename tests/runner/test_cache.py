"""The cache of an `--out`, made by hand: what is listed, what may go, what never goes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from cmae_ablate.errors import UserError
from cmae_ablate.runner.cache import LOCK, Entry, Use, entries, prunable, record_plan, remove
from cmae_ablate.runner.housekeeping import cache_line, prune_cache, show_cache
from tests.whole_study import quiet, said

DAY = 86400


def make_entry(out: Path, key: str, *, finished: bool = True, days: float = 0.0) -> Path:
    folder = out / "cache" / "pretrain" / key
    folder.mkdir(parents=True)
    (folder / LOCK).touch()
    if finished:
        (folder / "model.safetensors").write_bytes(bytes(3_000_000))
        (folder / "result.json").write_text(json.dumps({"seed": 0}))
    else:
        (folder / "step-000000004.pt").write_bytes(bytes(5_000_000))
    os.utime(folder, (time.time(), time.time() - days * DAY))
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two studies: one with a finished and an interrupted cell, one with older settings; and an orphan."""
    make_entry(tmp_path, "done")
    make_entry(tmp_path, "begun", finished=False, days=3)
    make_entry(tmp_path, "older", days=10)
    make_entry(tmp_path, "orphan", days=1)
    for study in ("first", "second"):
        (tmp_path / study).mkdir()
    record_plan(tmp_path / "first", [("done", "linear", 0), ("begun", "linear", 1), ("waiting", "linear", 2)])
    record_plan(tmp_path / "second", [("older", "depth 1", 0)])
    record_plan(tmp_path / "second", [("done", "depth 0", 0)])
    return tmp_path


def by_name(out: Path) -> dict[str, Entry]:
    return {entry.folder.name: entry for entry in entries(out)}


def names(found: list[Entry]) -> set[str]:
    return {entry.folder.name for entry in found}


def test_an_entry_knows_its_state_its_size_and_the_studies_that_use_it(out: Path) -> None:
    found = by_name(out)
    assert {name: entry.state for name, entry in found.items()} == {
        "done": "finished",
        "begun": "interrupted",
        "older": "finished",
        "orphan": "finished",
    }
    assert found["done"].uses == (Use("first", "linear", 0, True), Use("second", "depth 0", 0, True))
    assert found["older"].uses == (Use("second", "depth 1", 0, False),)
    assert found["begun"].size == found["begun"].training_state == 5_000_000
    assert found["done"].training_state == 0
    assert found["older"].days == pytest.approx(10, abs=0.1)


def test_unused_is_what_no_current_design_has(out: Path) -> None:
    assert names(prunable(entries(out), unused=True, older_than=None)) == {"older", "orphan"}
    assert names(prunable(entries(out), unused=False, older_than=2)) == {"begun", "older"}
    assert names(prunable(entries(out), unused=True, older_than=2)) == {"older"}


def test_settings_that_come_back_are_current_again(out: Path) -> None:
    record_plan(out / "second", [("older", "depth 1", 0)])
    found = by_name(out)
    assert found["older"].uses == (Use("second", "depth 1", 0, True),)
    assert found["done"].uses == (Use("first", "linear", 0, True), Use("second", "depth 0", 0, False))


def test_an_entry_that_a_worker_holds_is_running_and_stays(out: Path) -> None:
    orphan = by_name(out)["orphan"]
    with FileLock(orphan.folder / LOCK):
        assert by_name(out)["orphan"].state == "running"
        assert names(prunable(entries(out), unused=True, older_than=None)) == {"older"}
        assert remove(orphan) == 0  # taken after it was listed
    assert (orphan.folder / "model.safetensors").is_file()


def test_pruning_says_what_it_freed_and_leaves_the_rest(out: Path) -> None:
    console = quiet()
    prune_cache(out, unused=True, older_than=None, dry_run=False, console=console)
    assert names(entries(out)) == {"done", "begun"}
    assert "freed 6.0 MB of 14.0 MB" in said(console)
    assert "gone: older, 3.0 MB, finished, depth 1, seed 0, used by second, older settings" in said(console)
    assert "results stay in the queue" in said(console)


def test_a_dry_run_frees_nothing(out: Path) -> None:
    console = quiet()
    prune_cache(out, unused=False, older_than=0, dry_run=True, console=console)
    assert len(entries(out)) == 4
    assert "would free 14.0 MB" in said(console)


@pytest.mark.parametrize(
    ("unused", "older_than", "message"),
    [
        (False, None, "say what may go"),
        (True, -1.0, "days from 0"),
        (True, float("nan"), "days from 0"),
        (True, float("inf"), "days from 0"),
    ],
)
def test_pruning_without_a_rule_is_refused(
    out: Path, unused: bool, older_than: float | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        prune_cache(out, unused, older_than, dry_run=False, console=quiet())
    assert len(entries(out)) == 4


def test_the_list_and_the_line_of_status_add_up(out: Path) -> None:
    console = quiet()
    show_cache(out, console)
    assert "4 entries, 14.0 MB; 6.0 MB in 2 of them that no study uses now" in said(console)
    assert "8.0 MB of this study (5.0 MB of it training states), 6.0 MB in no study now" in cache_line(
        out, "first"
    )


def test_a_folder_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name the one that the study ran with"):
        show_cache(tmp_path / "absent", quiet())


def test_a_file_and_a_folder_of_something_else_are_named_as_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"file: this is a file, no folder; name the one that the study ran with"
    ):
        show_cache(tmp_path / "file", quiet())
    with pytest.raises(UserError, match=r"no study has run in this folder; name the one that it ran with"):
        prune_cache(tmp_path, unused=True, older_than=None, dry_run=False, console=quiet())


def test_two_study_files_of_one_name_do_not_make_each_others_entries_unused(
    out: Path, tmp_path: Path
) -> None:
    record_plan(tmp_path / "first", [("older", "linear", 0)], tmp_path / "elsewhere" / "first.yaml")
    assert not by_name(out)["older"].is_unused
    assert not by_name(out)["begun"].is_unused
    record_plan(tmp_path / "first", [("orphan", "linear", 0)], tmp_path / "elsewhere" / "first.yaml")
    assert by_name(out)["older"].is_unused


DAMAGES = ["", "[]", "{", '{"current": {}}', '{"current": {"": {"done": [["linear", -1]]}}, "older": {}}']


@pytest.mark.parametrize("content", DAMAGES)
def test_nothing_is_unused_while_a_plan_cannot_be_read(content: str, out: Path) -> None:
    plan = out / "first" / "pretraining.json"
    plan.write_text(content)
    with pytest.raises(UserError, match=r"first/pretraining\.json: damaged"):
        prune_cache(out, True, None, False, quiet())
    assert cache_line(out, "second")  # to look is no harm
    record_plan(out / "first", [("done", "linear", 0)])
    assert (out / "first" / "pretraining.json.damaged-1").is_file()
    assert not by_name(out)["done"].is_unused
    prune_cache(out, True, None, False, quiet())
