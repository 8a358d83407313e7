"""What the CPU drew or read, on its way to the device: never waited for, and as few copies as can be."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cmae_ablate.tokens import PatchMask


def upload(values: Tensor, device: torch.device) -> Tensor:
    """Send values to the device, without waiting for it; on a CPU they are the same tensor."""
    if device.type != "cpu":
        values = values.pin_memory()  # from elsewhere a copy is not asynchronous
    return values.to(device, non_blocking=True)


def upload_together(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """As `upload`, by one copy for all.

    Args:
        tensors: On the CPU, of one type.
        device: Where they are wanted.

    Returns:
        Each with its own shape, contiguous; on a CPU the same tensors.
    """
    if device.type == "cpu":
        return list(tensors)
    sent = upload(torch.cat([values.reshape(-1) for values in tensors]), device)
    parts = sent.split([values.numel() for values in tensors])
    return [part.view(values.shape) for part, values in zip(parts, tensors, strict=True)]


def upload_masks(masks: Sequence[PatchMask], device: torch.device) -> list[PatchMask]:
    """Masks on another device, by one copy for all."""
    sent = upload_together([ids for mask in masks for ids in (mask.ids_keep, mask.ids_hidden)], device)
    return [PatchMask(*ids) for ids in zip(sent[::2], sent[1::2], strict=True)]
