"""SQLite on a network file system, by the tables of mounts that such machines have."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.runner.launch.network_files import check_databases, network_type

KINDS = ["nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "ceph", "fuse.glusterfs", "fuse.sshfs"]
POSTGRES = "postgresql://cmae@host/optuna"


def table(folder: Path, *mounts: tuple[str, str]) -> Path:
    """A table of mounts as /proc/self/mounts has it."""
    lines = [
        "/dev/vda / ext4 rw,relatime 0 0",
        *(f"server:/x {where} {kind} rw 0 0" for where, kind in mounts),
    ]
    path = folder / "mounts"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_sqlite_on_a_network_file_system_is_refused_by_its_type(kind: str, tmp_path: Path) -> None:
    mounts = table(tmp_path, ("/shared", kind))
    for storage, tracking, option in (
        ("sqlite:////shared/me/runs/optuna.db", POSTGRES, "--storage"),
        (POSTGRES, "sqlite:////shared/me/runs/mlflow.db", "--tracking-uri"),
    ):
        with pytest.raises(UserError) as caught:
            check_databases(storage, tracking, "slurm", mounts)
        said = str(caught.value)
        assert f"({kind})" in said
        assert "/shared/me/runs/" in said
        assert f"give {option} postgresql://" in said
        assert "docs/how-to/postgresql.md" in said


def test_databases_of_servers_and_files_on_disks_of_this_machine_pass(tmp_path: Path) -> None:
    mounts = table(tmp_path, ("/shared", "nfs"), ("/fuse", "fuse.ntfs"), ("/scratch", "xfs"))
    check_databases(POSTGRES, "http://host:5000", "slurm", mounts)
    check_databases("sqlite:////sharedbut/optuna.db", "sqlite:////fuse/mlflow.db", "slurm", mounts)
    check_databases("sqlite:////scratch/optuna.db", "sqlite:////tmp/mlflow.db", "slurm", mounts)


def test_the_innermost_mount_decides_and_of_several_on_one_folder_the_last(tmp_path: Path) -> None:
    mounts = table(
        tmp_path,
        ("/home", "autofs"),
        ("/home/me", "nfs4"),
        ("/home/me/local", "ext4"),
        ("/again", "nfs"),
        ("/again", "tmpfs"),
    )
    assert network_type(Path("/home/me/runs"), mounts) == "nfs4"
    assert network_type(Path("/home/me/local/runs"), mounts) is None
    assert network_type(Path("/again/runs"), mounts) is None
    assert network_type(Path("/home/you"), mounts) is None


def test_mount_points_with_blanks_and_links_into_them_are_known(tmp_path: Path) -> None:
    real = tmp_path / "two words"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    mounts = table(tmp_path, (str(real).replace(" ", "\\040"), "lustre"))
    assert network_type(tmp_path / "link" / "runs", mounts) == "lustre"


def test_without_a_table_nothing_is_refused(tmp_path: Path) -> None:
    assert network_type(tmp_path, tmp_path / "absent") is None
