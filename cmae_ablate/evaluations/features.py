"""Frozen features of whole images: each split is encoded once, and every evaluation reads the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cmae_ablate.arrays import DataArrays, Split
from cmae_ablate.data import WholeImages
from cmae_ablate.resample import crop_resize
from cmae_ablate.runtime import Runtime
from cmae_ablate.slots import Encoder

POOLINGS = ("mean", "cls")
_PIXELS_BATCH = 1024


def split_of(data: DataArrays, name: str) -> Split:
    """The split called `train`, `validation` or `test`."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    return splits[name]


class FrozenFeatures:
    """Features of an encoder after its final norm; implements `slots.Features`.

    Whole images, resized to the encoder's size where theirs differs, no augmentation. One pass over a
    split yields both poolings. Cached in fp32 on the CPU, whatever the precision of the pass.

    Args:
        encoder: A pretrained encoder on the runtime's device; it is neither copied nor changed.
        data: The prepared data.
        runtime: Where to compute.
        batch_size: Images a forward pass; changes speed and memory only. By default as many as a CPU's
            cache holds, and on a GPU as many as keep it busy.
    """

    def __init__(
        self, encoder: Encoder, data: DataArrays, runtime: Runtime, batch_size: int | None = None
    ) -> None:
        self._encoder = encoder
        self._data = data
        self._runtime = runtime
        self._batch_size = batch_size or (64 if runtime.device.type == "cpu" else 256)
        self._cache: dict[tuple[str, str], Tensor] = {}

    def get(self, split: str, pooling: str) -> Tensor:
        """Features of `train`, `validation` or `test`, `mean` (of patch tokens) or `cls`; (n, D) fp32."""
        assert pooling in POOLINGS, pooling
        if (split, pooling) not in self._cache:
            self._encode(split)
        return self._cache[split, pooling]

    def _encode(self, name: str) -> None:
        source = WholeImages(
            self._data, split_of(self._data, name), self._encoder.image_size, self._runtime.device
        )
        parts: dict[str, list[Tensor]] = {pooling: [] for pooling in POOLINGS}
        with evaluating(self._encoder), torch.no_grad():
            for images in source.batches(self._batch_size):
                with self._runtime.autocast():
                    tokens = self._encoder.encode(images, None)
                for pooling, batches in parts.items():
                    batches.append(pool(tokens.float(), pooling).cpu())
        for pooling, batches in parts.items():
            self._cache[name, pooling] = torch.cat(batches)


class PixelFeatures:
    """Raw pixels as features, the control that any encoder must beat; implements `slots.Features`.

    Images are shrunk to `side` x `side` (antialiased bicubic), normalised per channel and flattened.
    Shrinking keeps the width, 768 at 16 pixels, near that of encoders; at full size a linear classifier
    of 12,288 pixels mostly overfits. There are no tokens, so both poolings are the same.

    Args:
        data: The prepared data.
        side: Side in pixels after shrinking; smaller images stay as they are.
    """

    def __init__(self, data: DataArrays, side: int = 16) -> None:
        self._data = data
        self._side = min(side, data.image_size)
        self._cache: dict[str, Tensor] = {}

    def get(self, split: str, pooling: str) -> Tensor:
        """Pixels of `train`, `validation` or `test`, (n, 3 * side * side) fp32; `pooling` changes nothing."""
        assert pooling in POOLINGS, pooling
        if split not in self._cache:
            images = split_of(self._data, split)
            whole = WholeImages(self._data, images, self._data.image_size, torch.device("cpu"))
            parts = [self._shrink(batch) for batch in whole.batches(_PIXELS_BATCH)]
            self._cache[split] = torch.cat(parts)
        return self._cache[split]

    def _shrink(self, images: Tensor) -> Tensor:
        if self._side < images.shape[-1]:
            crops = torch.tensor([[0, 0, *images.shape[2:]]]).expand(len(images), 4)
            images = crop_resize(images, crops, self._side)
        return images.flatten(1)


def pool(tokens: Tensor, pooling: str) -> Tensor:
    """Reduce encoder output (B, 1 + N, D) to (B, D): the mean patch token or the class token."""
    return tokens[:, 1:].mean(dim=1) if pooling == "mean" else tokens[:, 0]


@contextmanager
def evaluating(encoder: Encoder) -> Iterator[None]:
    """Hold a module in eval mode inside the block, and restore its mode after it."""
    assert isinstance(encoder, nn.Module)
    was_training = encoder.training
    encoder.eval()
    try:
        yield
    finally:
        encoder.train(was_training)
