"""Every slot of a trial on one page: what its components are built from, and what they do.

The docstring of each Protocol says which positional arguments assembly passes to the constructor;
a component's keyword-only parameters are its options. Shapes as in `tokens`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cmae_ablate.components.registry import Registry

if TYPE_CHECKING:  # what slots there are is known without torch
    from pathlib import Path

    import torch
    from torch import Tensor, nn

    from cmae_ablate.data.arrays import DataArrays, Dataset
    from cmae_ablate.runtime import Runtime
    from cmae_ablate.tokens import PatchMask


class Encoder(Protocol):
    """A vision transformer. Built from `(image_size: int)`; an `nn.Module`."""

    embed_dim: int
    patch_size: int
    image_size: int
    grid: tuple[int, int]
    num_patches: int

    def encode(
        self,
        images: Tensor,
        mask: PatchMask | None,
        *,
        positions: bool | Tensor = True,
        norm: bool = True,
    ) -> Tensor:
        """Encode the visible patches.

        Args:
            images: Normalised images, (B, C, H, W).
            mask: Which patches are hidden; None shows all N of them.
            positions: Whether tokens get position embeddings: all, none, or (B, V) bool, token by token.
            norm: Whether the final LayerNorm is applied.

        Returns:
            Class token, then visible tokens in the order of `mask.ids_keep`, (B, 1 + V, D).
        """
        ...

    def class_attention(self, images: Tensor) -> Tensor:
        """How much the class token attends to each patch in the last block, mean over heads, (B, N)."""
        ...

    def fresh(self) -> Encoder:
        """An encoder of the same architecture as it is before any training, whatever weights this one has.

        What controls need of an encoder whose weights come from elsewhere. Draws from torch's global
        generator; no part is shared with this encoder.
        """
        ...

    def parameters(self) -> Iterable[nn.Parameter]: ...
    def state_dict(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class View:
    """One augmented view of a batch, masked and encoded.

    Attributes:
        images: Normalised images, (B, C, H, W).
        mask: Which patches are hidden.
        tokens: Encoder output after the final norm, class token first, (B, 1 + V, D).
        predictions: What a `SequenceDecoder` predicts for class token, visible and hidden patches in the
            order of the mask, (B, 1 + N, Q); None unless an objective reads them.
    """

    images: Tensor
    mask: PatchMask
    tokens: Tensor
    predictions: Tensor | None = None


@dataclass(frozen=True)
class Term:
    """One loss term before weighting, and what is worth plotting beside it.

    Attributes:
        loss: Scalar.
        diagnostics: Detached scalars by name, such as `accuracy` in [0, 1].
    """

    loss: Tensor
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)


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


class Objective(Protocol):
    """A further task for the encoder. Built from `(encoder: Encoder)`; an `nn.Module`.

    The encoder given to the constructor serves for its sizes, or to copy; it must not be kept as a submodule.

    Attributes:
        num_views: Augmented views of each image that the objective needs.
        weight: Factor of its loss in the sum.
    """

    num_views: int
    weight: float

    def __call__(self, views: Sequence[View], encoder: Encoder, rng: torch.Generator) -> Term:
        """The unweighted loss on at least `num_views` views. `rng` is a CPU generator of the step's own.

        With several ranks the views are this rank's part of the batch and the loss is averaged over ranks:
        draw by `ranks.rand`, and look at other images through `components.objectives.gather`.
        """
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
    `ground_truth_box` may crop by them; others may only measure against them.
    """

    def sample(self, indices: Tensor, height: int, width: int, rng: torch.Generator, view: int = 0) -> Tensor:
        """Crops of the images `indices` (B,), as (B, 4) int64: top, left, height, width in pixels.

        `view` is counted from 0, for strategies that crop the views of an image differently; each has a
        generator of its own.
        """
        ...

    def refresh(self, epoch: int, encoder: Encoder, images: ImageSource) -> Refresh | None:
        """Called before each epoch (from 0); None where nothing was looked at."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint must keep."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        ...


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


@dataclass(frozen=True)
class Candidate:
    """One of the settings that an evaluation may be read at.

    Attributes:
        settings: Its values of the options that are chosen, such as `{"l2": 1e-05}`.
        metrics: As in `EvaluationResult`; `validation_top1` among them, by which it is chosen.
        predictions: As in `EvaluationResult`.
    """

    settings: Mapping[str, float]
    metrics: Mapping[str, float]
    predictions: Tensor


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        metrics: By name, without the evaluation's own name; top-1 in percent.
        predictions: Predicted class of each test image in order, (n_test,) int64; None without any.
        protocol: One sentence: feature, layer, normalisation, and how free choices were made.
        chosen: What was chosen on validation data, such as `l2`, for the record.
        candidates: Every setting of a grid, the strongest regularisation first; empty where nothing is
            chosen. `metrics` and `predictions` are those of the cell's own best by validation accuracy; a
            study chooses one candidate for all its cells (`selection`).
    """

    metrics: Mapping[str, float]
    predictions: Tensor | None
    protocol: str
    chosen: Mapping[str, float] = field(default_factory=dict)
    candidates: Sequence[Candidate] = ()


class Features(Protocol):
    """Frozen features of whole images, computed once and shared by every evaluation.

    Attributes:
        token_shape: Patch tokens of an image and their width, (N, D).
    """

    @property
    def token_shape(self) -> tuple[int, int]: ...

    def get(self, split: str, pooling: str) -> Tensor:
        """Features of a split, pooled by `mean` (of patch tokens) or `cls`; (n, D) on the CPU."""
        ...

    def token_batches(self, split: str) -> Iterator[Tensor]:
        """Patch tokens of all images of a split in order, (b, N, D) fp32, on the CPU or the device."""
        ...

    def tokens(self, split: str, indices: Tensor) -> Tensor:
        """Patch tokens of the images `indices` (b,), int64 on the CPU; (b, N, D) as `token_batches`."""
        ...


@dataclass(frozen=True)
class EvaluationContext:
    """All that an evaluation may look at.

    Attributes:
        encoder: The pretrained encoder in eval mode; None for the raw-pixel control.
        features: Its frozen features.
        data: The prepared data with labels.
        runtime: Where to compute.
        seed: The cell's seed, for evaluations that train.
        scratch: A folder of the evaluation's own, where one that trains for long may keep checkpoints.
        should_stop: Asked between steps; then `errors.Interrupted` is raised.
        on_step: Told of steps done and steps in all.
    """

    encoder: Encoder | None
    features: Features
    data: DataArrays
    runtime: Runtime
    seed: int
    scratch: Path | None = None
    should_stop: Callable[[], bool] = lambda: False
    on_step: Callable[[int, int], None] = lambda done, total: None


class Evaluation(Protocol):
    """Measures an encoder. Built from `()`.

    Attributes:
        metrics: Names of the metrics that a call returns; a class attribute, known before any training.
        trains_encoder: Whether it trains an encoder's weights; controls leave such evaluations out.

    An evaluation that reads patch tokens says so by a class attribute `reads_tokens = True`: it is then run
    before those that read pooled features, which its pass over the images leaves behind.

    An evaluation that does not depend on the pretraining has a class attribute `control_of`: the name of the
    evaluation that it is the control of, as `from_scratch` is of `fine_tune`. It is run once a seed for each
    architecture, not once a variant; its numbers stand in `controls.csv` alone.
    """

    metrics: tuple[str, ...]
    trains_encoder: bool

    def __call__(self, context: EvaluationContext) -> EvaluationResult:
        """Train on `train`, choose on `validation`, report on `test`."""
        ...


@runtime_checkable
class EncodesAgain(Protocol):
    """An evaluation that takes images through the encoder itself, besides or instead of frozen features.

    Without this method it is planned for as one that reads frozen features, which all share.
    """

    def encoder_passes(self) -> int:
        """How often it takes all training images through the encoder, with its options; 0 if not at all.

        With gradients where `trains_encoder`, else forward alone.
        """
        ...


def reads_tokens(factory: object) -> bool:
    """Whether an evaluation's class says that it reads patch tokens; plug-ins need not say anything."""
    return bool(getattr(factory, "reads_tokens", False))


DATASETS: Registry[Dataset] = Registry("dataset")
BACKBONES: Registry[Encoder] = Registry("backbone")
MASKINGS: Registry[Masking] = Registry("masking")
DECODERS: Registry[Decoder] = Registry("decoder")
TARGETS: Registry[Target] = Registry("target")
CROPS: Registry[CropStrategy] = Registry("crop")
AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation")
CONTRASTIVE: Registry[Objective] = Registry("objectives.contrastive", optional=True)
POSITION: Registry[Objective] = Registry("objectives.position", optional=True)
EVALUATIONS: Registry[Evaluation] = Registry("evaluations", optional=True)
"""Keyed by a label of the user's choice; the label is the metric's prefix, and the default of `name`."""
