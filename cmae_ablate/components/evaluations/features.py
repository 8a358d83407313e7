"""Frozen features of whole images: each split is encoded once, and every evaluation reads the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cmae_ablate.components.networks import Encoder
from cmae_ablate.data.arrays import DataArrays, Split
from cmae_ablate.data.images import WholeImages, take
from cmae_ablate.data.resize import crop_resize
from cmae_ablate.errors import UserError
from cmae_ablate.runtime import Runtime
from cmae_ablate.tokens import patchify

POOLINGS = ("mean", "cls")
TOKEN_BYTES = 2**30
"""The most that the patch tokens of the training images may take in memory: 1 GiB; 43,690 images of 64
tokens of width 96."""
_FLOAT_BYTES = 4
_PIXELS_BATCH = 1024
_TOKENS_SIDE, _TOKENS_GRID = 64, 8


def split_of(data: DataArrays, name: str) -> Split:
    """The split called `train`, `validation` or `test`."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    return splits[name]


class FrozenFeatures:
    """Features of an encoder after its final norm; implements `slots.Features`.

    Whole images, resized to the encoder's size where theirs differs, no augmentation. One pass over a
    split yields both poolings. Cached in fp32 on the CPU, whatever the precision of the pass. Patch tokens
    of `train` are kept from the first pass over them on, where they take at most `token_bytes`; else, and
    for the other splits, images are encoded again. Either way the numbers are the same: an image is always
    encoded in a block of `batch_size` images, so that each matrix product has the same shape.

    Args:
        encoder: A pretrained encoder on the runtime's device; it is neither copied nor changed.
        data: The prepared data.
        runtime: Where to compute.
        batch_size: Images a forward pass; changes speed and memory only. By default as many as a CPU's
            cache holds, and on a GPU as many as keep it busy.
        token_bytes: The most that kept patch tokens may take on the device; changes speed and memory only.
    """

    def __init__(
        self,
        encoder: Encoder,
        data: DataArrays,
        runtime: Runtime,
        batch_size: int | None = None,
        token_bytes: int = TOKEN_BYTES,
    ) -> None:
        self._encoder = encoder
        self._data = data
        self._runtime = runtime
        self._batch_size = batch_size or (64 if runtime.device.type == "cpu" else 256)
        self._token_bytes = token_bytes
        self._cache: dict[tuple[str, str], Tensor] = {}
        self._kept: Tensor | None = None

    @property
    def token_shape(self) -> tuple[int, int]:
        """Patches and width, (N, D)."""
        return self._encoder.num_patches, self._encoder.embed_dim

    def get(self, split: str, pooling: str) -> Tensor:
        """Features of `train`, `validation` or `test`, `mean` (of patch tokens) or `cls`; (n, D) fp32."""
        assert pooling in POOLINGS, pooling
        if (split, pooling) not in self._cache:
            for _ in self._pass(split):
                pass
        return self._cache[split, pooling]

    def token_batches(self, split: str) -> Iterator[Tensor]:
        """Patch tokens of a split in order, block by block; pools them in passing."""
        if split == "train" and self._kept is None and self._fits(split):
            self._kept = self._keep(split)
        if split == "train" and self._kept is not None:
            yield from torch.split(self._kept, self._batch_size)
        else:
            yield from self._pass(split)

    def tokens(self, split: str, indices: Tensor) -> Tensor:
        """Patch tokens of some images, (b, N, D): kept ones, or encoded now."""
        if split == "train" and self._kept is not None:
            return self._kept[indices.to(self._kept.device)]
        images = split_of(self._data, split)
        source = WholeImages(self._data, images, self._encoder.image_size, self._runtime.device)
        parts = []
        for block in torch.split(indices, self._batch_size):
            batch = source.prepare(take(images, block.numpy(), self._runtime.device))
            parts.append(self._encode(batch)[:, 1:])
        return torch.cat(parts)

    def _keep(self, split: str) -> Tensor:
        count = len(split_of(self._data, split))
        kept = torch.empty(count, *self.token_shape, device=self._runtime.device)
        for start, block in zip(range(0, count, self._batch_size), self._pass(split), strict=True):
            kept[start : start + len(block)] = block
        return kept

    def _fits(self, split: str) -> bool:
        patches, width = self.token_shape
        return len(split_of(self._data, split)) * patches * width * _FLOAT_BYTES <= self._token_bytes

    def _pass(self, split: str) -> Iterator[Tensor]:
        """One pass over a split: yields patch tokens, and leaves both poolings in the cache."""
        images = split_of(self._data, split)
        source = WholeImages(self._data, images, self._encoder.image_size, self._runtime.device)
        parts: dict[str, list[Tensor]] = {pooling: [] for pooling in POOLINGS}
        for batch in source.batches(self._batch_size):
            tokens = self._encode(batch)
            for pooling, batches in parts.items():
                batches.append(pool(tokens, pooling).cpu())
            yield tokens[:, 1:]
        for pooling, batches in parts.items():
            found = torch.cat(batches)
            # Said once, before anything is fitted to them: a classifier would fail in words of its own.
            if not bool(found.isfinite().all()):
                raise UserError(
                    f"features of the {split} images are not finite (NaN or infinity): the encoder's weights "
                    "diverged or are damaged; lower training.base_lr, or give another checkpoint"
                )
            self._cache[split, pooling] = found

    def _encode(self, images: Tensor) -> Tensor:
        """Tokens of at most a block of images, (b, 1 + N, D) fp32, whatever other images are in the block."""
        count = len(images)
        if count < self._batch_size:
            images = images[torch.arange(self._batch_size, device=images.device) % count]
        with evaluating(self._encoder), torch.no_grad(), self._runtime.autocast():
            return self._encoder.encode(images, None).float()[:count]


class PixelFeatures:
    """Raw pixels as features, the control that any encoder must beat; implements `slots.Features`.

    Images are shrunk to `side` x `side` (antialiased bicubic), normalised per channel and flattened.
    Shrinking keeps the width, 768 at 16 pixels, near that of encoders; at full size a linear classifier
    of 12,288 pixels mostly overfits. There is no class token, so both poolings are the same. Patch tokens
    are the pixels of an 8 x 8 grid of patches, of images shrunk to at most 64 pixels: what a ViT is given,
    but for the positions.

    Args:
        data: The prepared data.
        side: Side in pixels after shrinking; smaller images stay as they are.
    """

    def __init__(self, data: DataArrays, side: int = 16) -> None:
        self._data = data
        self._side = min(side, data.image_size)
        self._patch = max(1, min(data.image_size, _TOKENS_SIDE) // _TOKENS_GRID)
        self._grid = min(data.image_size, _TOKENS_SIDE) // self._patch
        self._cache: dict[str, Tensor] = {}

    @property
    def token_shape(self) -> tuple[int, int]:
        """Patches and the values of each, (N, D)."""
        return self._grid**2, 3 * self._patch**2

    def get(self, split: str, pooling: str) -> Tensor:
        """Pixels of `train`, `validation` or `test`, (n, 3 * side * side) fp32; `pooling` changes nothing."""
        assert pooling in POOLINGS, pooling
        if split not in self._cache:
            parts = [shrink(batch, self._side).flatten(1) for batch in self._whole(split)]
            self._cache[split] = torch.cat(parts)
        return self._cache[split]

    def token_batches(self, split: str) -> Iterator[Tensor]:
        """Pixel patches of a split in order, batch by batch."""
        return (self._patches(batch) for batch in self._whole(split))

    def tokens(self, split: str, indices: Tensor) -> Tensor:
        """Pixel patches of some images, (b, N, D)."""
        source = self._source(split)
        return self._patches(source.prepare(take(source.split, indices.numpy(), source.device)))

    def _whole(self, split: str) -> Iterator[Tensor]:
        return self._source(split).batches(_PIXELS_BATCH)

    def _source(self, split: str) -> WholeImages:
        images = split_of(self._data, split)
        return WholeImages(self._data, images, self._data.image_size, torch.device("cpu"))

    def _patches(self, images: Tensor) -> Tensor:
        return patchify(shrink(images, self._grid * self._patch), self._patch)


def shrink(images: Tensor, side: int) -> Tensor:
    """Images (B, C, S, S), antialiased bicubic, at `side` pixels; smaller ones as they are."""
    if side >= images.shape[-1]:
        return images
    crops = torch.tensor([[0, 0, *images.shape[2:]]]).expand(len(images), 4)
    return crop_resize(images, crops, side)


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
