"""Who holds a lease, and whether that process still lives."""

from __future__ import annotations

import os
import socket
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """One process, distinct from any other that ever had its number.

    Attributes:
        host: For people.
        machine: Boot and process namespace: two processes with the same `machine` see each other's numbers.
        pid: Process number.
        started: When the process started, as the system words it.
        session: One `Queue` object of that process.
    """

    host: str
    machine: str
    pid: int
    started: str
    session: str

    @classmethod
    def current(cls) -> Owner:
        """This process, with a new session."""
        pid = os.getpid()
        return cls(socket.gethostname(), _machine(), pid, _start_of(pid) or "", uuid.uuid4().hex)

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> Owner:
        """The inverse of `to_json`."""
        texts = {key: str(stored.get(key, "")) for key in ("host", "machine", "started", "session")}
        pid = stored.get("pid")
        return cls(pid=pid if isinstance(pid, int) else 0, **texts)

    def to_json(self) -> dict[str, str | int]:
        """As plain data."""
        return asdict(self)

    def is_visible_to(self, observer: Owner) -> bool:
        """Whether `observer` can look whether this process lives."""
        return self.machine == observer.machine

    def is_dead(self, observer: Owner) -> bool:
        """Whether `observer` can tell that this process has ended; False where it cannot look."""
        return self.is_visible_to(observer) and _start_of(self.pid) != self.started


def _machine() -> str:
    """Boot id and process namespace, not the host's name: containers share either one without the other."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()}/{uuid.getnode()}"


def _start_of(pid: int) -> str | None:
    """When process `pid` started; None if it has ended, a zombie included.

    The kernel's own count of ticks. psutil makes a time of day of it, by a clock that may be set before
    another process reads it, and a worker that lives would look dead.
    """
    if not Path("/proc/self/stat").exists():  # macOS
        listed = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        state, _, started = listed.stdout.strip().partition(" ")
        return None if not state or state.startswith("Z") else started.strip()
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name, in parentheses, may hold spaces and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
