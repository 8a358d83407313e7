"""The table of endings, held against what an attempt really does to queue, tracker, progress and log."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from filelock import FileLock

from cmae_ablate.errors import DivergedError, Interrupted, Pruned, RankError, StorageError, UserError
from cmae_ablate.queue import Queue
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner import attempt as attempt_module
from cmae_ablate.runner.attempt import Attempt, Tools
from cmae_ablate.runner.endings import ENDINGS, Name, ending_of
from cmae_ablate.runner.progress import read_notes
from cmae_ablate.runner.stopping import StopFlag
from cmae_ablate.runtime import Runtime
from tests.queue.harness import plan

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")
RAISED: dict[Name, BaseException] = {
    "pruned": Pruned("below the median"),
    "failed": ValueError("no such luck"),
    "failed for good": UserError("the settings"),
    "interrupted": Interrupted(),
    "rank lost": RankError(""),
    "no room": NO_SPACE,
    "device lost": torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    "storage away": StorageError("the database"),
    "stopped at once": KeyboardInterrupt(),
}
AFTERWARDS = {
    "complete": ("COMPLETE", 0),
    "pruned": ("PRUNED", 0),
    "failed": ("WAITING", 1),
    "failed for good": ("FAILED", 1),
    "free": ("WAITING", 0),
    "runs out": ("RUNNING", 0),
}
"""By lease: the cell's state, and how many attempts count."""


class Run:
    """Remembers how it ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def finish(self, status: str) -> None:
        self.ended.append(status)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: None


class Setting:
    """A cell of a study that trains nothing."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.told = folder, list[str]()
        self.queue = Queue(f"sqlite:///{folder}/optuna.db", "study", plan(variants=1, seeds=1))
        self.run = Run()
        training = SimpleNamespace(threads=1, precision="fp32", compile=False, epochs=2, probed=())
        spec = SimpleNamespace(training=training, is_pretrained=True, to_tree=dict)
        variant = SimpleNamespace(label="depth 0", control=None, spec=spec)
        cell = SimpleNamespace(variant=variant, seed=0, spec=spec)
        experiment = SimpleNamespace(
            cell=lambda planned, settings: cell,
            data_of=lambda spec: None,
            is_tuning=False,
            places=SimpleNamespace(out=folder, cache=folder),
            study=SimpleNamespace(metric="knn.top1", keep="model", search=None),
        )
        tracker = SimpleNamespace(start_cell=lambda *arguments: self.run)
        self.job: Any = SimpleNamespace(experiment=experiment, queue=self.queue, tracker=tracker)
        self._monkeypatch = monkeypatch

    def attempt(self, outcome: BaseException | CellRecord) -> None:
        def run_any(*arguments: object) -> CellRecord:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        self._monkeypatch.setattr(attempt_module, "run_any", run_any)
        claim = self.queue.claim("worker")
        assert claim is not None
        tools = Tools(self.folder / "notes", Runtime(), StopFlag(), "", self.told.append)
        Attempt(self.job, 0, claim, tools).run()


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    return Setting(tmp_path, monkeypatch)


def test_every_ending_is_in_the_table_and_every_error_leads_to_one() -> None:
    assert set(ENDINGS) == {*RAISED, "finished", "lease lost", "killed"}
    for name, error in RAISED.items():
        assert ending_of(error, has_lost_lease=False, is_tuning=False) == name
    assert ending_of(Interrupted(), has_lost_lease=True, is_tuning=False) == "lease lost"
    assert ending_of(DivergedError("loss"), has_lost_lease=False, is_tuning=False) == "failed for good"
    assert ending_of(DivergedError("loss"), has_lost_lease=False, is_tuning=True) == "pruned"
    assert ending_of(RankError("rank 1: no luck"), has_lost_lease=False, is_tuning=False) == "failed"
    assert ending_of(SystemExit(0), has_lost_lease=False, is_tuning=False) == "failed"
    assert ending_of(GeneratorExit(), has_lost_lease=False, is_tuning=False) is None


@pytest.mark.parametrize("name", [*RAISED, "finished"])
def test_an_attempt_ends_as_the_table_says(name: Name, setting: Setting) -> None:
    ending = ENDINGS[name]
    if name == "finished":
        setting.attempt(CellRecord({"knn.top1": 12.5}, "sha", "cpu", setting.folder))
    elif ending.worker == "raises":
        with pytest.raises(BaseException, match=r"room|database|") as caught:
            setting.attempt(RAISED[name])
        assert type(caught.value).__name__ in {
            "DeviceError",
            "NoRoomError",
            "StorageError",
            "KeyboardInterrupt",
        }
    else:
        setting.attempt(RAISED[name])
    (status,) = setting.queue.status()
    assert (status.state, status.attempts) == AFTERWARDS[ending.lease]
    assert setting.run.ended == ([ending.run] if ending.run else [])
    (note,) = read_notes(setting.folder / "notes")
    assert note.phase == (ending.phase or "pretraining")
    said = "\n".join(setting.told)
    assert bool(said) == bool(ending.log)
    assert ("Traceback" in said) == (ending.log == "traceback")


def test_a_lost_lease_leaves_run_and_cell_to_the_other_worker(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmae_ablate.queue.lease.Claim.lost", True)
    setting.attempt(Interrupted())
    assert ENDINGS["lease lost"].lease == "another's"
    assert setting.queue.status()[0].state == "RUNNING"
    assert setting.run.ended == []
    assert setting.told == ["depth 0, seed 0: lease lost: another worker has the cell by now"]


def test_a_checkpoint_is_gone_only_where_the_cell_is_done() -> None:
    done = {name for name, ending in ENDINGS.items() if ending.checkpoint == "gone"}
    assert done == {name for name, ending in ENDINGS.items() if ending.lease in ("complete", "pruned")}
    assert done == {"finished", "pruned"}


def test_nobody_holds_the_queue_s_lock_after_an_attempt(setting: Setting) -> None:
    with pytest.raises(KeyboardInterrupt):
        setting.attempt(KeyboardInterrupt())
    with FileLock(setting.folder / "optuna.db.lock", timeout=0):
        pass
