"""No SQLite for workers on several machines where it lies on a network file system."""

from __future__ import annotations

import re
from pathlib import Path

from cmae_ablate.database import sqlite_path
from cmae_ablate.errors import UserError
from cmae_ablate.tracking import backend_of

MOUNTS = Path("/proc/self/mounts")
NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "auristorfs"),
    *("lustre", "gpfs", "mmfs", "beegfs", "fhgfs", "ceph", "glusterfs", "orangefs", "pvfs2"),
    *("panfs", "wekafs", "davfs"),
}
"""Types of mounts whose files other machines write, too; behind `fuse.` as well."""
_FUSE = {"sshfs", "juicefs", "rclone", "s3fs", "dfuse", "moosefs", "mfs", "lizardfs", "quobyte", "cephfs"}


def network_type(path: Path, mounts: Path | None = None) -> str | None:
    """The type of the network file system that holds a path; None where it lies on a disk of this machine.

    Args:
        path: Need not exist yet.
        mounts: Another table than the kernel's. On systems without one nothing is known: None is returned.
    """
    path = path.resolve()
    try:
        lines = (mounts or MOUNTS).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    best, kind = -1, ""
    for line in lines:
        _, where, type_, *_ = (*line.split(" "), "", "", "")
        point = Path(_unescaped(where))
        # The innermost holds it, and of several on one folder the last.
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), type_
    name = kind.removeprefix("fuse.")
    return kind if name in NETWORK or (kind != name and name in _FUSE) else None


def check_databases(storage: str, tracking: str, launcher: str, mounts: Path | None = None) -> None:
    """Refuse databases that workers on several machines would damage.

    SQLite's locks do not hold between machines: two workers get one cell, or the file is destroyed.

    Args:
        storage: URL of the Optuna storage.
        tracking: Address of what keeps the runs.
        launcher: Named in the message.
        mounts: As for `network_type`.

    Raises:
        UserError: One of them is SQLite on a network file system.
    """
    for option, file, example in (
        ("--storage", sqlite_path(storage), "postgresql://cmae@HOST/optuna"),
        ("--tracking-uri", backend_of(tracking).database, "postgresql://cmae@HOST/mlflow"),
    ):
        kind = None if file is None else network_type(file, mounts)
        if kind is not None:
            raise UserError(
                f"--launcher {launcher}: {file} is SQLite on a network file system ({kind}), whose locks do "
                f"not hold between machines; give {option} {example} (docs/how-to/postgresql.md has the one "
                "worked example)"
            )


def _unescaped(text: str) -> str:
    """A mount point as it is: the table writes blanks and the like as `\\040`."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
