"""A whole study through a database that restarts, an MLflow server that stops, and a disk that is full."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import optuna
import pandas as pd
import pytest

from tests.faults.aftermath import assert_as_undisturbed, read_until
from tests.faults.inside import command_with
from tests.queue.harness import Postgres
from tests.whole_study import EPOCHS, LONGER, longer_run, run, start, start_command, write_study

# MLflow's own dependencies warn about each other.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.distributed,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
SECRET = "s3cret"
"""The password in the URL of the queue tests' server."""


def test_a_database_restarted_twice_under_a_study_costs_nothing(
    postgres: Postgres, undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    url = f"{postgres.url}/postgres"
    process = start(study, out, "--storage", url)
    # A worker's own arguments and everything else that other users may read.
    read_until(process, ": epoch ")
    postgres.restart()
    workers = [Path(f"/proc/{child}/cmdline").read_bytes() for child in _children(process.pid)]
    assert workers
    assert all(SECRET.encode() not in arguments for arguments in workers)
    read_until(process, ": epoch 2")
    postgres.restart()
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    storage = optuna.storages.RDBStorage(url.replace("postgresql://", "postgresql+psycopg://"))
    trials = optuna.load_study(study_name="study", storage=storage).trials
    storage.engine.dispose()
    assert_as_undisturbed(out, undisturbed, trials)
    assert SECRET not in output
    leaks = [path for path in out.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert leaks == []


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


class Server:
    """An MLflow server on the loopback that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self._folder / 'server.db'}"]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, start_new_session=True
            )
        deadline = time.monotonic() + 300
        while True:
            try:
                with urlopen(f"{self.url}/health", timeout=5):
                    return
            except OSError:
                assert self._process.poll() is None, (self._folder / "server.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)

    def stop(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
            self._process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()


def test_an_mlflow_server_that_stops_mid_trial_gets_everything_in_the_end(
    server: Server, undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    study, out = write_study(tmp_path), tmp_path / "runs"
    process = start(study, out, "--tracking-uri", server.url)
    said = read_until(process, ": epoch ")
    server.stop()
    said += process.communicate(timeout=600)[0]
    assert process.returncode == 0, said
    assert "MLflow is away" in said
    trials = pd.read_csv(out / "study" / "trials.csv")
    assert list(trials["weights_sha256"]) == list(undisturbed["weights_sha256"])
    server.start()
    assert run(study, out, settings=LONGER, tracking=server.url) == 0  # trains nothing, hands in what waited
    assert_as_undisturbed(out, undisturbed, tracking=server.url)
    client = MlflowClient(server.url)
    experiment = client.get_experiment_by_name("study")
    assert experiment is not None
    cells = [run for run in client.search_runs([experiment.experiment_id]) if "seed" in run.data.tags]
    assert len(cells) == 4
    for cell in cells:
        steps = [metric.step for metric in client.get_metric_history(cell.info.run_id, "loss")]
        assert sorted(steps) == list(range(1, EPOCHS + 1))
    assert list(out.rglob("*.jsonl")) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk; tests/faults/test_checkpoint_damage.py stands in")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


# The disk is full until both workers have met it: training alone writes too little to notice within seconds.
TELL = """
import os
from cmae_ablate.runner import attempt
def no_room(place, is_out, before=attempt.no_room):
    marker.with_name(f"full-{os.getpid()}").touch()
    return before(place, is_out=is_out)
attempt.no_room = no_room
"""


def test_a_full_disk_is_named_and_the_same_command_goes_on_once_there_is_room(
    small_disk: Path, undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    study, out, ballast = write_study(tmp_path), small_disk / "runs", small_disk / "ballast"
    process = start_command(command_with(TELL, tmp_path / "full", *longer_run(study, out)))
    said = read_until(process, "depth 1, seed 0: epoch ")
    if "linear, seed 0: epoch " not in said:  # each worker is to have a cell
        said += read_until(process, "linear, seed 0: epoch ")
    # Queue, MLflow, checkpoints and logs: nothing has room any more.
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(65536))
    while len(list(tmp_path.glob("full-*"))) < 2:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    ballast.unlink()  # the queue has waited for this moment, the cells have not
    said += process.communicate(timeout=600)[0]
    logs = "".join(path.read_text() for path in (out / "study" / "logs").iterdir())
    assert process.returncode == 1, said + logs
    assert f"{out}: no room left on its disk" in said
    assert "Traceback" not in said
    assert run(study, out, settings=LONGER) == 0
    assert_as_undisturbed(out, undisturbed)
