"""Encoders as they were on the way: kept beside a pretraining, to be judged once it is over."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from cmae_ablate.components.networks import Encoder
from cmae_ablate.files import write_atomically

FOLDER = "snapshots"


def snapshot_path(folder: Path, epoch: int) -> Path:
    """Where a pretraining keeps the encoder that it had after so many epochs.

    Args:
        folder: The pretraining's own.
        epoch: Epochs done, from 1.
    """
    return folder / FOLDER / f"epoch-{epoch:05d}.safetensors"


def keep_encoder(folder: Path, epoch: int, encoder: Encoder) -> None:
    """Write the encoder's parameters and buffers; one that was kept before is replaced."""
    path = snapshot_path(folder, epoch)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = encoder.state_dict()
    write_atomically(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}))


def kept_encoder(folder: Path, epoch: int) -> dict[str, Tensor] | None:
    """What `keep_encoder` wrote; None where nothing was kept, or where it cannot be read."""
    try:
        return load_file(snapshot_path(folder, epoch))
    except (SafetensorError, OSError):
        return None
