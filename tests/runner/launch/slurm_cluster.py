"""A Slurm cluster of one node on this machine: Debian's packages, daemons of our own, loopback only."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol")
PACKAGES = ("slurm-wlm", "munge")
# Two partitions of the one node: jobs of `high` send those of `low` back to the queue.
CONFIGURATION = """\
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={where}/munge.socket,cred_expire=5
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerParameters=batch_sched_delay=1,sched_interval=2
InactiveLimit=0
KillWait=30
MinJobAge=300
JobRequeue=1
StateSaveLocation={where}/state
SlurmdSpoolDir={where}/spool
SlurmctldPidFile={where}/slurmctld.pid
SlurmdPidFile={where}/slurmd.pid
SlurmctldLogFile={where}/slurmctld.log
SlurmdLogFile={where}/slurmd.log
SlurmctldDebug=info
SlurmdDebug=info
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=low Nodes={host} Default=YES PriorityTier=1 GraceTime=0 MaxTime=INFINITE State=UP
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP
"""


class Cluster:
    """Runs inside `running_cluster`.

    Attributes:
        variables: Environment of whoever uses it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = {"SLURM_CONF": str(folder / "slurm.conf")}

    def call(self, *command: str) -> str:
        """What a Slurm command prints."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout.strip()

    def tasks(self, job: str) -> dict[str, str]:
        """The states of the tasks of an array job that is not over, by their index."""
        listed = self.call("squeue", "--noheader", "--array", f"--jobs={job}", "--format=%K %T")
        return dict(line.split() for line in listed.splitlines())

    def logs(self) -> str:
        """The daemons' last words."""
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self.folder.glob("*.log"))


def why_not() -> str:
    """Install what is missing, where that can be done; why there can be no cluster, else nothing."""
    if os.geteuid() != 0:
        return "the daemons of Slurm need root"
    with FileLock(Path(tempfile.gettempdir()) / "cmae-ablate-slurm.lock"):  # pytest may have several workers
        return "" if all(map(shutil.which, PROGRAMS)) else _install()


def _install() -> str:
    if shutil.which("apt-get") is None:
        return "neither Slurm nor apt-get is here"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    said = ""
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", *command], env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        said = done.stderr.strip()
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(missing)} cannot be installed: {said[-300:]}" if missing else ""


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start the three daemons in a short folder (a socket's path has 107 bytes), and end them afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(host=host, where=folder, controller_port=_free_port(), node_port=_free_port())
    )
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    munge = [f"--{name}={folder}/munge.{end}" for name, end in MUNGE_FILES.items()]
    cluster = Cluster(folder)
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in (
            ["munged", "--foreground", "--force", *munge],
            ["slurmctld", "-D", "-f", str(folder / "slurm.conf")],
            ["slurmd", "-D", "-f", str(folder / "slurm.conf"), "-N", host],
        ):
            with (folder / f"{command[0]}.out.log").open("wb") as log:
                environment = {**os.environ, **cluster.variables}
                daemons.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
                )
            if command[0] == "munged":
                _wait((folder / "munge.socket").exists, cluster)
        _wait(lambda: _is_idle(cluster), cluster)
        yield cluster
        cluster.call("scancel", "--user=root")
        _wait(lambda: not cluster.call("squeue", "--noheader"), cluster)
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(30)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


MUNGE_FILES = {
    "key-file": "key",
    "socket": "socket",
    "pid-file": "pid",
    "seed-file": "seed",
    "log-file": "log",
}


def _is_idle(cluster: Cluster) -> bool:
    done = subprocess.run(
        ["sinfo", "--noheader", "--format=%T"],
        env={**os.environ, **cluster.variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return set(done.stdout.split()) == {"idle"}


def _wait(condition: Callable[[], bool], cluster: Cluster) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, cluster.logs()
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
