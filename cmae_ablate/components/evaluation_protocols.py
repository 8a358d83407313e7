"""What measures an encoder: an evaluation, what it is given, and what it returns. Shapes as in `tokens`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from cmae_ablate.components.registry import Registry

if TYPE_CHECKING:  # what slots there are is known without torch
    from pathlib import Path

    from torch import Tensor

    from cmae_ablate.components.networks import Encoder
    from cmae_ablate.data.arrays import DataArrays
    from cmae_ablate.runtime import Runtime


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
        scratch: A folder of the evaluation's own for this very encoder, where one that trains for long may
            keep checkpoints.
        should_stop: Asked between steps; then `errors.Interrupted` is raised.
        on_step: Told of steps done and steps in all.
        warn: Told of what the user should know.
    """

    encoder: Encoder | None
    features: Features
    data: DataArrays
    runtime: Runtime
    seed: int
    scratch: Path | None = None
    should_stop: Callable[[], bool] = lambda: False
    on_step: Callable[[int, int], None] = lambda done, total: None
    warn: Callable[[str], None] = print


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
        """Train on `train`, choose on `validation`, report on `test`.

        What is returned is checked. The cell fails for good, and the command `evaluate` ends with 2, where
        a metric that the class declares is missing or another is there (raw pixels, which have no encoder,
        may lack some); where a metric is no number, or NaN or infinite; and where predictions, a candidate's
        among them, are not one integer in [0, classes) for each test image. 0-d tensors and NumPy's numbers
        are numbers.
        """
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


@runtime_checkable
class FitsClassifier(Protocol):
    """An evaluation that says what its classifier on frozen features costs beside the passes for these.

    Without this method a plan counts the passes alone.
    """

    def classifier_flops(self, num_patches: int, embed_dim: int, num_classes: int) -> float:
        """FLOPs of the whole fit, with its options, for each training image; two per multiply-add.

        Args:
            num_patches: Tokens of an image, N.
            embed_dim: Their width and that of the pooled feature, D.
            num_classes: K.
        """
        ...


EVALUATIONS: Registry[Evaluation] = Registry("evaluations", optional=True)
"""Keyed by a label of the user's choice; the label is the metric's prefix, and the default of `name`."""
