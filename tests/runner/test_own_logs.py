"""Where a cell's log lies once its `--out` was moved or copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.queue import CellStatus, PlannedCell
from cmae_ablate.runner.own_logs import with_own_log


def shown(log: Path | str, out: Path) -> str:
    return with_own_log(CellStatus(PlannedCell("id", "MAE", 0, {}, ""), "FAILED", log=str(log)), out).log


@pytest.mark.parametrize("study", ["study", "study/search"])
@pytest.mark.parametrize("is_copy", [False, True])
def test_the_log_is_that_of_the_folder_that_is_looked_at(study: str, is_copy: bool, tmp_path: Path) -> None:
    recorded, own = (tmp_path / out / study / "logs" / "worker-0.log" for out in ("runs", "moved"))
    for log in (recorded, own) if is_copy else (own,):
        log.parent.mkdir(parents=True)
        log.touch()
    assert shown(recorded, tmp_path / "moved") == str(own)


def test_a_log_that_is_not_there_is_named_as_it_was_recorded(tmp_path: Path) -> None:
    recorded = tmp_path / "runs" / "study" / "logs" / "worker-0.log"
    assert shown(recorded, tmp_path / "moved") == str(recorded)
    assert shown(recorded, tmp_path / "runs") == str(recorded)
    assert shown("", tmp_path) == ""
