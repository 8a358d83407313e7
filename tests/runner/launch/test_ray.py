"""Workers on a Ray cluster of two nodes, both on this machine."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.whole_study import optuna_trials, start, wait_for_a_checkpoint, write_study

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.distributed,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """Nodes of one worker each; every process is known, so that no other Ray of the machine is touched."""

    def __init__(self, folder: Path) -> None:
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        self.address = f"127.0.0.1:{free_port()}"
        self.variables = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ADDRESS": self.address,
        }
        self.nodes: list[subprocess.Popen[bytes]] = []
        self._log = (folder / "ray.log").open("wb")

    def add(self, *options: str) -> None:
        # As a module: the script beside the interpreter is not there where Ray comes from another folder.
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", *options]
        environment = {**os.environ, **self.variables, "PYTHONPATH": str(Path(__file__).parents[3])}
        del environment["RAY_ADDRESS"]
        self.nodes.append(
            subprocess.Popen(command, env=environment, stdout=self._log, stderr=subprocess.STDOUT)
        )

    def wait_for_head(self) -> None:
        """Until the head answers at its address."""
        host, _, port = self.address.rpartition(":")
        deadline = time.monotonic() + 300
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
            except OSError:
                assert self.nodes[0].poll() is None, "the head ended; see ray.log"
                assert time.monotonic() < deadline
                time.sleep(0.2)
            else:
                return

    def kill(self, index: int) -> None:
        """What a power cut does: every process of the node ends at once."""
        root = psutil.Process(self.nodes[index].pid)
        for process in [root, *root.children(recursive=True)]:
            process.kill()
        self.nodes[index].wait()

    def close(self) -> None:
        for index, node in enumerate(self.nodes):
            if node.poll() is None:
                self.kill(index)
        self._log.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    port = cluster.address.rpartition(":")[2]
    try:
        cluster.add("--head", f"--port={port}", "--include-dashboard=false", "--node-ip-address=127.0.0.1")
        cluster.wait_for_head()  # the second node gives up at once where there is no head yet
        cluster.add(f"--address={cluster.address}", "--node-ip-address=127.0.0.1")
        yield cluster
    finally:
        cluster.close()


def workers_of(node: subprocess.Popen[bytes]) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(node.pid).children(recursive=True):
        with suppress(
            psutil.NoSuchProcess
        ):  # it ended meanwhile; one that nobody has waited for yet is a zombie
            if {"cmae_ablate", "worker"} <= set(child.cmdline()):
                found.append(child)
    return found


def test_a_study_survives_the_loss_of_a_node(
    cluster: Cluster, undisturbed: pd.DataFrame, tmp_path: Path
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    process = start(study, out, "--launcher", "ray", variables=cluster.variables)
    wait_for_a_checkpoint(out, process)
    deadline = time.monotonic() + 300
    while not workers_of(cluster.nodes[1]):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    cluster.kill(1)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    trials = pd.read_csv(out / "study" / "trials.csv")
    assert list(trials["weights_sha256"]) == list(undisturbed["weights_sha256"])
    assert sum(trial.state.name == "COMPLETE" for trial in optuna_trials(out)) == 4
    assert workers_of(cluster.nodes[0]) == []


def test_an_interrupted_study_on_ray_writes_checkpoints_and_says_130(
    cluster: Cluster, tmp_path: Path
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    process = start(study, out, "--launcher", "ray", variables=cluster.variables)
    wait_for_a_checkpoint(out, process)
    process.send_signal(2)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 130, output
    assert all(trial.state.name != "RUNNING" for trial in optuna_trials(out))
