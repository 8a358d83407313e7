"""Commands that only read, on a result that nobody may write to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import cmae_ablate as ca
from tests.cli.test_app import call
from tests.whole_study import run, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with its size and the time of its last change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in [folder, *sorted(folder.rglob("*"))]
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A study, and where it has run: mounted read-only, or without write permission where none may mount."""
    folder = tmp_path_factory.mktemp("finished")
    study, out = write_study(folder), folder / "runs"
    assert run(study, out, settings=("training.epochs=1",), seeds=1) == 0
    if os.getuid() != 0:
        modes = {path: path.stat().st_mode for path in [*out.rglob("*"), out]}
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        yield study, out
        for path in reversed(modes):
            path.chmod(modes[path])
        return
    mounted = subprocess.run(["mount", "--bind", out, out], capture_output=True, check=False).returncode == 0
    if not mounted:
        pytest.skip("root writes whatever the modes say, and nothing can be mounted here")
    subprocess.run(["mount", "-o", "remount,ro,bind", out], check=True)
    yield study, out
    subprocess.run(["umount", "--lazy", out], check=True)


def test_reading_commands_read_and_change_nothing(
    finished: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    study, out = finished
    with pytest.raises(OSError, match=r"Read-only|Permission"):
        (out / "new").touch()
    before = state_of(out)
    options = [study, "--out", out, "--seeds", "1", "--set", "training.epochs=1", "--device", "cpu"]
    for command, marker in {
        "status": "2 of 2 cells complete",
        "report": "depth 1",
        "plan": "depth 1",
    }.items():
        code, told, complaint = call(capsys, command, *options)
        assert (code, complaint) == (0, ""), (command, told)
        assert marker in told
    assert "cannot be written to, so what lies there is as it was" in call(capsys, "report", *options)[1]
    assert call(capsys, "studies")[0] == 0
    assert len(ca.load_result("study", out=out).trials) == 2
    assert state_of(out) == before
