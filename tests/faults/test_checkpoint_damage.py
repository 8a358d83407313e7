"""Checkpoints damaged on disk while nobody trains, and a disk that fills up while somebody does."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cmae_ablate import checkpoint
from cmae_ablate.checkpoint import weights_sha256
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import Interrupted, is_full
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import Hooks, Pretrained, pretrain

Training = Callable[[Path, Hooks], Pretrained]
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def train(tiny_spec: TrialSpec, tiny_data: DataArrays) -> Training:
    """Three epochs of four steps, each epoch's state on the disk before the next begins."""
    spec = resolve(apply(tiny_spec.to_tree(), ("training", "epochs"), 3), 0)
    return lambda folder, hooks: pretrain(
        spec, tiny_data, Runtime(), folder, replace(hooks, looks_at=lambda epochs: True)
    )


@pytest.fixture(scope="module")
def whole(train: Training, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of an undisturbed training."""
    done = train(tmp_path_factory.mktemp("whole"), Hooks())
    return weights_sha256(done.model.state_dict())


def interrupt(train: Training, folder: Path, after: int) -> None:
    asked = iter(range(100))
    with pytest.raises(Interrupted):
        train(folder, Hooks(should_stop=lambda: next(asked) == after))


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(content: bytes) -> bytes:
    return b""


def one_byte_flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [truncated, emptied, one_byte_flipped])
@pytest.mark.parametrize("damaged", [1, 2])
def test_a_damaged_checkpoint_is_named_and_costs_only_time(
    damage: Callable[[bytes], bytes], damaged: int, train: Training, whole: str, tmp_path: Path
) -> None:
    interrupt(train, tmp_path, after=10)
    kept = sorted(tmp_path.glob("step-*.pt"))
    assert [path.name for path in kept] == ["step-000000008.pt", "step-000000010.pt"]
    for path in kept[-damaged:]:
        path.write_bytes(damage(path.read_bytes()))
    told: list[str] = []
    first_step: list[int] = []
    hooks = Hooks(on_step=lambda done, total: first_step.append(done), warn=told.append)
    done = train(tmp_path, hooks)
    assert weights_sha256(done.model.state_dict()) == whole
    assert first_step[0] == (9 if damaged == 1 else 1)  # with both gone, it begins anew
    assert [text.partition(":")[0] for text in told] == [str(path) for path in reversed(kept[-damaged:])]
    assert all("damaged" in text for text in told)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 4 MiB; who may not mount one gets a limit on the size of files instead."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.getuid() != 0:
        pytest.skip("only root may mount a disk; the test with a limit on file sizes stands in")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here; the test with a limit on file sizes stands in")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_a_training_that_goes_on_once_there_is_room(
    small_disk: Path, train: Training, whole: str
) -> None:
    ballast, cell = small_disk / "ballast", small_disk / "cell"

    def fill(epoch: int, metrics: object) -> None:
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(65536))

    with pytest.raises(OSError, match="No space left") as caught:
        train(cell, Hooks(on_epoch=fill))
    assert is_full(caught.value)
    assert [path.name for path in cell.iterdir() if path.suffix == ".pt"] == ["step-000000004.pt"]
    assert checkpoint.load_latest(cell, pytest.fail) is not None
    ballast.unlink()
    assert weights_sha256(train(cell, Hooks()).model.state_dict()) == whole


def test_a_file_that_may_not_grow_leaves_the_checkpoint_before(
    train: Training, whole: str, tmp_path: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(epoch: int, metrics: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))

    try:
        with pytest.raises(OSError, match="File too large") as caught:
            train(tmp_path, Hooks(on_epoch=limit))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert is_full(caught.value)
    assert checkpoint.load_latest(tmp_path, pytest.fail) is not None
    assert weights_sha256(train(tmp_path, Hooks()).model.state_dict()) == whole
