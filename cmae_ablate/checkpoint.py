"""Checkpoints that are whole or absent: written aside, hashed, renamed; a damaged one is noticed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmae_ablate.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

KEEP = 2
"""Checkpoints kept of a running cell: the newest, and the one before in case it is damaged."""


def save(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write the checkpoint of `step` and forget all but the newest two.

    Args:
        folder: The cell's own folder; created.
        step: Optimiser steps done; names the file.
        state: Tensors, numbers, texts, lists and mappings of them: all that `weights_only` loading accepts.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    path = folder / f"step-{step:09d}.pt"
    # The hash first: a checkpoint without one is damaged, a hash without a checkpoint is nothing.
    write_atomically(path.with_suffix(".sha256"), hashlib.sha256(content).hexdigest().encode())
    write_atomically(path, content)
    for old in _checkpoints(folder)[:-KEEP]:
        old.unlink(missing_ok=True)
        old.with_suffix(".sha256").unlink(missing_ok=True)
    return path


def load_latest(folder: Path, warn: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest undamaged checkpoint of a folder; None without any.

    Args:
        folder: Where `save` wrote.
        warn: Told of each damaged checkpoint that was passed over.
    """
    import torch

    for path in reversed(_checkpoints(folder)):
        stored = path.with_suffix(".sha256")
        try:
            content = path.read_bytes()
            is_whole = stored.read_bytes() == hashlib.sha256(content).hexdigest().encode()
            reason = "its SHA-256 differs"
        except OSError as error:
            is_whole, reason = False, f"{error.filename} cannot be read: {error.strerror}"
        if is_whole:
            loaded: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            return loaded
        warn(f"{path}: damaged ({reason}); the checkpoint before it is used")
    return None


def clear(folder: Path, *, keep_last: bool = False) -> None:
    """Remove the checkpoints of a finished cell, or all but the last."""
    for path in _checkpoints(folder)[: -1 if keep_last else None]:
        path.unlink(missing_ok=True)
        path.with_suffix(".sha256").unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a process killed in the middle of a write left aside; nobody else may write there."""
    for aside in folder.glob(".*"):
        if aside.suffix[1:].isdecimal():
            aside.unlink(missing_ok=True)


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over parameters and buffers: names, types, shapes and bytes, in the order of names."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"))


def text_digest(text: str) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
