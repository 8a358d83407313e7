from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cmae_ablate import checkpoint
from cmae_ablate.files import write_atomically


def saved(folder: Path, steps: int) -> list[Path]:
    return [
        checkpoint.save(folder, step, {"step": step, "w": torch.full((4,), step)}) for step in range(steps)
    ]


def test_the_newest_two_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    paths = saved(tmp_path, 4)
    assert sorted(tmp_path.glob("step-*.pt")) == paths[2:]
    state = checkpoint.load_latest(tmp_path, pytest.fail)
    assert state is not None
    assert state["step"] == 3
    assert torch.equal(state["w"], torch.full((4,), 3))


@pytest.mark.parametrize("damage", ["truncated", "emptied", "one byte flipped", "hash lost"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path: Path, damage: str) -> None:
    newest = saved(tmp_path, 3)[-1]
    content = bytearray(newest.read_bytes())
    if damage == "truncated":
        newest.write_bytes(content[: len(content) // 2])
    elif damage == "emptied":
        newest.write_bytes(b"")
    elif damage == "one byte flipped":
        content[len(content) // 2] ^= 1
        newest.write_bytes(content)
    else:
        newest.with_suffix(".sha256").unlink()
    said: list[str] = []
    state = checkpoint.load_latest(tmp_path, said.append)
    assert state is not None
    assert state["step"] == 1
    assert len(said) == 1
    assert str(newest) in said[0]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.load_latest(tmp_path / "absent", pytest.fail) is None


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_readable_by_the_owner_only(tmp_path: Path) -> None:
    path = saved(tmp_path, 1)[0]
    assert path.stat().st_mode & 0o077 == 0


def test_the_digest_of_weights_sees_names_values_and_types() -> None:
    weights = {"a": torch.ones(2, 2), "b": torch.zeros(3)}
    base = checkpoint.weights_sha256(weights)
    assert checkpoint.weights_sha256(dict(reversed(weights.items()))) == base
    others = [
        {"a": torch.ones(2, 2), "c": torch.zeros(3)},
        {"a": torch.ones(4), "b": torch.zeros(3)},
        {"a": torch.ones(2, 2), "b": torch.zeros(3, dtype=torch.float64)},
        {"a": torch.ones(2, 2), "b": torch.tensor([0.0, 0.0, 1e-45])},
    ]
    assert all(checkpoint.weights_sha256(other) != base for other in others)
