"""One process and the queue."""

from __future__ import annotations

import sqlite3
import stat
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from cmae_ablate.errors import UserError
from cmae_ablate.queue import Claim, PlannedCell, Queue, redact
from cmae_ablate.queue.optuna_trials import Trials
from cmae_ablate.queue.storage import Storage
from cmae_ablate.report.cell_record import CellRecord, TrialRow
from tests.queue.harness import on_both, plan

Open = Callable[..., Queue]


def claimed(queue: Queue) -> Claim:
    """A claim that must succeed."""
    claim = queue.claim("tester")
    assert claim is not None
    return claim


def drain(queue: Queue) -> list[str]:
    """Complete what can be claimed; the ids in that order."""
    ids = []
    while claim := queue.claim("tester"):
        ids.append(claim.cell.id)
        queue.finish(claim, float(claim.cell.seed), CellRecord({"knn.top1": 10.5}))
    return ids


def stored(url: str) -> list[optuna.trial.FrozenTrial]:
    """What Optuna itself finds under the study's name."""
    url = url.replace("postgresql://", "postgresql+psycopg://")
    storage = optuna.storages.RDBStorage(url)
    try:
        return optuna.load_study(study_name="decoder_size", storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


def test_cells_are_claimed_in_the_order_of_the_design(open_queue: Open) -> None:
    cells = plan(variants=3, seeds=2)
    assert drain(open_queue(cells)) == [cell.id for cell in cells]


def test_the_lock_is_held_for_one_look_at_what_runs(
    open_queue: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = open_queue(plan(variants=3, seeds=1))
    claim, looks, read = claimed(queue), [], Trials.read
    monkeypatch.setattr(Trials, "read", lambda self: looks.append("read") or read(self))
    claimed(queue)
    assert looks == ["read"]
    queue.finish(claim, 1.0, CellRecord())
    assert looks == ["read", "read"]


@on_both
def test_a_finished_study_has_one_complete_optuna_trial_a_cell(open_queue: Open, url: str) -> None:
    drain(open_queue(plan(variants=2, seeds=2)))
    assert [(trial.state, trial.params, trial.value) for trial in stored(url)] == [
        (TrialState.COMPLETE, {"decoder": "depth 0", "seed": 0}, 0.0),
        (TrialState.COMPLETE, {"decoder": "depth 1", "seed": 0}, 0.0),
        (TrialState.COMPLETE, {"decoder": "depth 0", "seed": 1}, 1.0),
        (TrialState.COMPLETE, {"decoder": "depth 1", "seed": 1}, 1.0),
    ]


@on_both
def test_a_running_cell_is_claimed_by_nobody_else(open_queue: Open) -> None:
    cells = plan(variants=1, seeds=1)
    first, second = open_queue(cells), open_queue(cells)
    claimed(first)
    assert second.claim("other") is None
    assert second.pending() == 1


def test_results_come_back_as_they_were_given(open_queue: Open) -> None:
    queue = open_queue(plan(variants=1, seeds=1))
    record = CellRecord({"knn.top1": 21.0 / 3}, "ab" * 32, "cpu", Path("/a b"), {"knn": "How."}, reused=True)
    assert queue.finish(claimed(queue), 7.5, record)
    (status,) = queue.status()
    assert (status.state, status.value, status.record) == ("COMPLETE", 7.5, record)


@on_both
def test_a_raised_error_uses_up_attempts_until_the_cell_has_failed(open_queue: Open) -> None:
    queue = open_queue(plan(variants=1, seeds=1), max_attempts=2)
    attempts = []
    while claim := queue.claim("tester", log=f"log {len(attempts)}"):
        attempts.append(claim.attempt)
        queue.fail(claim, f"error {len(attempts)}")
    (status,) = queue.status()
    assert attempts == [1, 2]
    assert (status.state, status.attempts, status.reason, status.log) == ("FAILED", 2, "error 2", "log 1")
    assert queue.pending() == 0


def test_a_failure_that_settings_decide_is_not_tried_again_unless_forgiven(open_queue: Open) -> None:
    queue = open_queue(plan(variants=1, seeds=1), max_attempts=3)
    queue.fail(claimed(queue), "loss is nan", final=True)
    (status,) = queue.status()
    assert (status.state, status.attempts, status.reason) == ("FAILED", 1, "loss is nan")
    assert queue.claim("tester") is None
    queue.reset_failures()
    assert claimed(queue).attempt == 1


def test_interruptions_never_use_up_attempts(open_queue: Open) -> None:
    queue = open_queue(plan(variants=1, seeds=1), max_attempts=1)
    for _ in range(3):
        queue.release(claimed(queue))
    assert claimed(queue).attempt == 1


def test_forgiven_cells_get_all_their_attempts_again(open_queue: Open) -> None:
    queue = open_queue(plan(variants=1, seeds=1), max_attempts=1)
    queue.fail(claimed(queue), "no space left")
    assert queue.claim("tester") is None
    queue.reset_failures()
    assert queue.status()[0].state == "WAITING"
    assert claimed(queue).attempt == 1


@on_both
def test_a_silent_lease_is_taken_over_and_its_holder_notices(open_queue: Open) -> None:
    cells = plan(variants=1, seeds=1)
    silent = open_queue(cells, lease_seconds=0.3)
    claim = claimed(silent)
    other = open_queue(cells, lease_seconds=0.3)
    assert other.claim("other") is None  # its process lives: only silence that was watched counts
    time.sleep(0.5)
    successor = claimed(other)
    with claim:
        end = time.monotonic() + 30
        while not claim.lost and time.monotonic() < end:
            time.sleep(0.02)
        assert claim.lost
    assert successor.attempt == 1


def test_a_beating_lease_is_left_alone(open_queue: Open) -> None:
    cells = plan(variants=1, seeds=1)
    holder, other = open_queue(cells, lease_seconds=3), open_queue(cells, lease_seconds=3)
    with claimed(holder) as claim:
        time.sleep(4)  # two beats may come two seconds late
        assert other.claim("other") is None
        assert not claim.lost


@on_both
def test_a_result_after_a_lost_lease_counts_once(open_queue: Open, url: str) -> None:
    cells = plan(variants=1, seeds=1)
    slow, quick = open_queue(cells, lease_seconds=0.1), open_queue(cells, lease_seconds=0.1)
    late = claimed(slow)
    assert quick.claim("other") is None
    time.sleep(0.2)
    successor = claimed(quick)
    assert slow.finish(late, 1.0, CellRecord(device="slow"))
    assert not quick.finish(successor, 1.0, CellRecord(device="quick"))
    assert quick.status()[0].record == CellRecord(device="slow")
    assert Counter(trial.state for trial in stored(url)) == {TrialState.COMPLETE: 1, TrialState.FAIL: 2}


def test_finishing_twice_records_once(open_queue: Open, url: str) -> None:
    queue = open_queue(plan(variants=1, seeds=1))
    claim = claimed(queue)
    assert [queue.finish(claim, 1.0, CellRecord()), queue.finish(claim, 1.0, CellRecord())] == [True, True]
    assert len(stored(url)) == 1


@on_both
def test_other_settings_leave_older_cells_stored_and_uncounted(open_queue: Open, url: str) -> None:
    drain(open_queue(plan(variants=2, seeds=1)))
    queue = open_queue(plan(variants=3, seeds=1, settings="epochs 2"))
    assert [status.state for status in queue.status()] == ["WAITING"] * 3
    assert len(drain(queue)) == 3
    assert [trial.params for trial in stored(url)] == [
        {"decoder": "depth 0", "seed": 0},
        {"decoder": "depth 1", "seed": 0},
        # Optuna refuses to change a parameter's choices.
        {"decoder (2)": "depth 0", "seed": 0},
        {"decoder (2)": "depth 1", "seed": 0},
        {"decoder (2)": "depth 2", "seed": 0},
    ]
    assert {trial.user_attrs["levels"]["decoder"] for trial in stored(url)} == {
        "depth 0",
        "depth 1",
        "depth 2",
    }


def test_more_seeds_only_add_cells(open_queue: Open) -> None:
    drain(open_queue(plan(variants=2, seeds=1)))
    assert drain(open_queue(plan(variants=2, seeds=2))) == ["depth 0:1:", "depth 1:1:"]


def test_imported_rows_with_the_right_fingerprint_count_as_done(open_queue: Open) -> None:
    queue = open_queue(plan(variants=2, seeds=2))
    record = CellRecord({"knn.top1": 12.25}, weights_sha256="1234")
    row = TrialRow("depth 0", 0, "COMPLETE", {"decoder": "depth 0"}, "fp-0-0", record)
    rows = [
        row,
        replace(row, seed=1, fingerprint="fp-of-another-study"),
        replace(row, fingerprint="fp-1-0", state="FAILED"),
        replace(row, seed=1, fingerprint="fp-1-1", record=CellRecord(weights_sha256="1234")),
        replace(row, seed=1, fingerprint="fp-0-1", record=CellRecord({"knn.top1": 13})),
    ]
    assert queue.import_complete(rows, "knn.top1") == 2
    assert queue.import_complete(rows, "knn.top1") == 0
    states = {status.cell.id: (status.state, status.record) for status in queue.status()}
    assert states["depth 0:0:"] == ("COMPLETE", record)
    assert states["depth 0:1:"] == ("COMPLETE", CellRecord({"knn.top1": 13}))
    assert sum(state == "WAITING" for state, _ in states.values()) == 2


def test_a_metric_that_is_no_number_is_refused(open_queue: Open) -> None:
    queue = open_queue(plan(variants=1, seeds=1))
    with pytest.raises(ValueError, match="depth 0:0"):
        queue.finish(claimed(queue), float("nan"), CellRecord())


def test_database_and_lock_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    out = tmp_path / "out"
    Storage(f"sqlite:///{out}/optuna.db").close()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (out, *out.iterdir())}
    assert modes == {"out": 0o700, "optuna.db": 0o600, "optuna.db.lock": 0o600}


def fill(database: Path, copies: int) -> None:
    """Copy the only trial, far faster than Optuna can create as many, for the cells `depth 1:0:` and on."""
    count = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {copies})"
    with sqlite3.connect(database) as connection:
        columns = "study_id, state, datetime_start, datetime_complete FROM trials, n WHERE trial_id = 1"
        connection.execute(f"{count} INSERT INTO trials SELECT i + 1, i, {columns}")
        for table, columns in {
            "trial_user_attributes": "key, value_json",
            "trial_params": "param_name, param_value, distribution_json",
            "trial_values": "objective, value, value_type",
        }.items():
            source = f"SELECT i + 1, {columns} FROM {table}, n WHERE trial_id = 1"
            connection.execute(f"{count} INSERT INTO {table} (trial_id, {columns}) {source}")
        cell = "'\"depth ' || (trial_id - 1) || ':0:\"'"
        connection.execute(f"UPDATE trial_user_attributes SET value_json = {cell} WHERE key = 'cell'")
    connection.close()


def test_a_claim_among_a_thousand_cells_stays_quick(tmp_path: Path) -> None:
    cells = plan(variants=1000, seeds=1)
    queue = Queue(f"sqlite:///{tmp_path}/optuna.db", "decoder_size", cells)
    queue.finish(claimed(queue), 1.0, CellRecord({f"metric {number}": 1.0 for number in range(30)}))
    queue.close()
    fill(tmp_path / "optuna.db", copies=996)
    queue = Queue(f"sqlite:///{tmp_path}/optuna.db", "decoder_size", cells)
    seconds = []
    for expected in ("depth 997:0:", "depth 998:0:", "depth 999:0:"):
        started = time.thread_time()
        assert claimed(queue).cell.id == expected
        seconds.append(time.thread_time() - started)
    queue.close()
    assert min(seconds) < 0.3  # of a processor: whatever else the machine has to do


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@host/db",
        "postgresql+psycopg://user:hunter2@host:5432/db?sslmode=require",
        "postgresql://host/db?user=me&password=hunter2",
        "postgresql://user:hunter2@:not a url",
        "postgresql://user:p@ss/hunter2@host/db",
    ],
)
def test_no_password_survives_redaction(url: str) -> None:
    assert "hunter2" not in redact(url)
    assert redact(url).startswith("postgresql")


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("nonsense", "no database URL"),
        ("sqlite:///:memory:", "names no file that workers can share; write sqlite:////path.db"),
        ("mysql://user:hunter2@host/db", "use sqlite or postgresql"),
        ("postgresql://user:hunter2@127.0.0.1:1/db", "check that the database runs"),
    ],
)
def test_a_bad_storage_is_the_users_mistake_told_without_its_password(url: str, remedy: str) -> None:
    with pytest.raises(UserError, match=remedy) as caught:
        Storage(url)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "optuna.db").write_bytes(b"not a database " * 100)
    with pytest.raises(UserError, match=r"optuna\.db: cannot be opened \(file is not a database\)"):
        Storage(f"sqlite:///{tmp_path}/optuna.db")


def test_two_cells_of_one_id_are_a_bug_of_the_caller(tmp_path: Path) -> None:
    cell: PlannedCell = plan(1, 1)[0]
    with pytest.raises(AssertionError, match="two cells have one id"):
        Queue(f"sqlite:///{tmp_path}/optuna.db", "decoder_size", [cell, cell])
