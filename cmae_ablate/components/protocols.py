"""The slots that a pretraining is made of: what their components are built from, and what they do.

The docstring of each class says which positional arguments assembly passes to the constructor;
a component's keyword-only parameters are its options. Shapes as in `tokens`. What measures the encoder
afterwards is in `evaluation_protocols`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cmae_ablate.components.registry import Registry

if TYPE_CHECKING:  # what slots there are is known without torch
    import torch
    from torch import Tensor

    from cmae_ablate.components.networks import Encoder, Objective, View
    from cmae_ablate.data.arrays import Dataset
    from cmae_ablate.tokens import PatchMask


class Masking(Protocol):
    """Chooses hidden patches. Built from `(grid: tuple[int, int])`."""

    def sample(self, batch: int, rng: torch.Generator) -> PatchMask:
        """Draw one mask per image on the CPU; every image hides equally many patches."""
        ...


class Decoder(Protocol):
    """Predicts the target on hidden patches. Built from `(embed_dim, grid, target_dim)`; an `nn.Module`."""

    def __call__(self, view: View) -> Tensor:
        """Predictions in the order of `view.mask.ids_hidden`, (B, M, target_dim)."""
        ...


@runtime_checkable
class SequenceDecoder(Decoder, Protocol):
    """A decoder that also predicts for the class token and the visible patches."""

    def predict_all(self, view: View) -> Tensor:
        """Predictions for class token, visible and hidden patches in the order of the mask, (B, 1 + N, Q)."""
        ...


@runtime_checkable
class FillsEncoder(Decoder, Protocol):
    """A decoder whose mask token takes the place of hidden patches in the encoder, which sees every position.

    The model then encodes by `Encoder.encode_filled`, and `View.hidden` has what became of hidden patches.
    """

    def filling(self) -> Tensor:
        """What the encoder gets for a hidden patch's embedding, before its position is added, (1, 1, D)."""
        ...


class Target(Protocol):
    """What the decoder must predict. Built from `(patch_size: int)`."""

    def dim(self) -> int:
        """Values per patch."""
        ...

    def __call__(self, images: Tensor, mask: PatchMask) -> Tensor:
        """Targets of hidden patches in the order of `mask.ids_hidden`, (B, M, dim)."""
        ...

    def to_pixels(self, predictions: Tensor, images: Tensor, mask: PatchMask) -> Tensor | None:
        """Predictions as pixel patches for a picture, (B, M, Q); None where the target has no picture."""
        ...


@runtime_checkable
class ComparesItself(Target, Protocol):
    """A target with a loss of its own; without one it is the mean squared error."""

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """How far predictions (B, M, dim) are from what the target is, in float32, a scalar."""
        ...


@runtime_checkable
class FollowsEncoder(Target, Protocol):
    """A target that is made by a copy of the encoder; an `nn.Module`, so that checkpoints hold the copy."""

    def attach(self, encoder: Encoder) -> None:
        """Called once, before anything else is asked: copy the encoder, which must not be kept."""
        ...

    def after_step(self, encoder: Encoder, progress: float) -> None:
        """Called after each optimiser step, for moving averages; `progress` in [0, 1] of the training."""
        ...


@runtime_checkable
class PredictionReader(Protocol):
    """An objective that may also read the decoder's predictions, `View.predictions`.

    Attributes:
        prediction_dim: Their width Q, where it reads them; None where it does not.
    """

    prediction_dim: int | None


@dataclass(frozen=True)
class Refresh:
    """What a crop strategy found out when it looked at the images again: scalars by name."""

    metrics: Mapping[str, float]


class CropStrategy(Protocol):
    """Where to crop each training image. Built from `(num_images: int, true_boxes: Tensor)`.

    `true_boxes` (n, 4) are top, left, bottom, right in [0, 1], NaN where unknown. Only
    `ground_truth_box` may crop by them; others may only measure against them. Who inherits from it
    and learns nothing writes `sample` alone.
    """

    def sample(self, indices: Tensor, height: int, width: int, rng: torch.Generator, view: int = 0) -> Tensor:
        """Crops of the images `indices` (B,), as (B, 4) int64: top, left, height, width in pixels.

        `view` is counted from 0, for strategies that crop the views of an image differently; each has a
        generator of its own.
        """
        ...

    def refresh(self, epoch: int, encoder: Encoder, images: ImageSource) -> Refresh | None:
        """Called before each epoch (from 0); None where nothing was looked at."""
        return None

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint must keep."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state_dict`."""


@runtime_checkable
class LooksAgain(Protocol):
    """A crop strategy whose `refresh` takes all training images through the encoder in some epochs."""

    def refresh_epochs(self, epochs: int) -> Sequence[int]:
        """Before which of a training's `epochs` it may look, from 0: what a look costs is planned for."""
        ...


@runtime_checkable
class Localiser(Protocol):
    """A crop strategy that draws boxes around what a heat map of the encoder shows.

    Attributes:
        heatmap_name: What the map is, in a word or two, for the title of a picture.
        threshold: What of the map, scaled to [0, 1], is inside the box.
    """

    heatmap_name: str
    threshold: float

    def heatmap(self, encoder: Encoder, images: Tensor) -> Tensor:
        """Raw maps (B, h, w) of whole normalised images (B, C, S, S)."""
        ...


class ImageSource(Protocol):
    """Training images for a look by a crop strategy: whole, uncropped, normalised, on the device."""

    def __len__(self) -> int: ...

    def batches(self, batch_size: int) -> Iterable[Tensor]:
        """All images in order, (b, C, S, S) with S the encoder's image size."""
        ...


class Augmentation(Protocol):
    """What happens to a view's pixels after the crop. Built from `()`."""

    def __call__(self, images: Tensor, view: int, rng: torch.Generator) -> Tensor:
        """Images (B, C, H, W) in [0, 1], on any device, to images of the same shape in [0, 1].

        With several ranks the images are this rank's part of the batch: draw by `ranks.rand`.
        """
        ...


@runtime_checkable
class StrengthensViews(Protocol):
    """An augmentation that changes some views more than MAE changes its only one.

    Attributes:
        strong_views: Which, counted from 0.
    """

    strong_views: frozenset[int]


DATASETS: Registry[Dataset] = Registry("dataset")
BACKBONES: Registry[Encoder] = Registry("backbone")
MASKINGS: Registry[Masking] = Registry("masking")
DECODERS: Registry[Decoder] = Registry("decoder")
TARGETS: Registry[Target] = Registry("target")
CROPS: Registry[CropStrategy] = Registry("crop")
AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation")
CONTRASTIVE: Registry[Objective] = Registry("objectives.contrastive", optional=True)
POSITION: Registry[Objective] = Registry("objectives.position", optional=True)
UNIFORMITY: Registry[Objective] = Registry("objectives.uniformity", optional=True)
