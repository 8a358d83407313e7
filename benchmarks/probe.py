"""The linear probe on cached features against epochs of encoding the same images again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor

from benchmarks.setting import Setting
from benchmarks.timing import Comparison, compare
from benchmarks.views import cpu_scale
from cmae_ablate.components.evaluation_protocols import EvaluationContext
from cmae_ablate.components.evaluations.features import FrozenFeatures
from cmae_ablate.components.evaluations.linear_probe import LinearProbe
from cmae_ablate.components.networks import Encoder
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.data.images import WholeImages
from cmae_ablate.runtime import Runtime
from cmae_ablate.training.model import assemble

EPOCHS = 90
BATCH = 256


class FreshTrain:
    """Implements `slots.Features`: train is encoded anew, held-out features are known."""

    def __init__(self, encoder: Encoder, data: DataArrays, known: FrozenFeatures) -> None:
        self._fresh = FrozenFeatures(encoder, data, Runtime())
        self._known = known

    def get(self, split: str, pooling: str) -> Tensor:
        """(n, D)."""
        return (self._fresh if split == "train" else self._known).get(split, pooling)

    @property
    def token_shape(self) -> tuple[int, int]:
        """(N, D)."""
        return self._known.token_shape

    def token_batches(self, split: str) -> Iterator[Tensor]:
        """(b, N, D) each."""
        return self._known.token_batches(split)

    def tokens(self, split: str, indices: Tensor) -> Tensor:
        """(b, N, D)."""
        return self._known.tokens(split, indices)


def forward_again(encoder: Encoder, data: DataArrays, count: int) -> Callable[[], None]:
    """One epoch of the re-forwarding protocol over the first `count` images of train, classifier included."""
    images = WholeImages(data, data.train, data.image_size, torch.device("cpu"))
    classifier = torch.nn.Sequential(
        torch.nn.BatchNorm1d(encoder.embed_dim, affine=False),
        torch.nn.Linear(encoder.embed_dim, data.num_classes),
    )
    optimiser = torch.optim.SGD(classifier.parameters(), lr=0.1, momentum=0.9)
    labels = torch.split(torch.from_numpy(data.train.labels.astype("int64")), BATCH)

    def epoch() -> None:
        batches = zip(images.batches(BATCH), labels, strict=True)
        for batch, truth in islice(batches, -(-count // BATCH)):
            with torch.no_grad():
                pooled = encoder.encode(batch, None)[:, 1:].mean(dim=1)
            loss = torch.nn.functional.cross_entropy(classifier(pooled), truth)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    return epoch


def run(setting: Setting) -> Iterator[Comparison]:
    """Encoding train once and the whole fit, against `EPOCHS` passes of the encoder over train."""
    rounds, quick = setting.rounds, setting.quick
    specs, data = cpu_scale(quick)
    encoder = assemble(specs["MAE"], data.image_size).eval().encoder
    known = FrozenFeatures(encoder, data, Runtime())
    for split in ("validation", "test"):
        known.get(split, "mean")

    def own() -> None:
        features = FreshTrain(encoder, data, known)
        LinearProbe()(EvaluationContext(encoder, features, data, Runtime(), 0))

    found = compare("", own, forward_again(encoder, data, len(data.train)), rounds=rounds)
    assert found.reference_seconds is not None
    yield replace(
        found,
        name=f"linear probe against {EPOCHS} epochs of re-forwarding",
        ratio=found.ratio * EPOCHS,
        low=found.low * EPOCHS,
        high=found.high * EPOCHS,
        reference_seconds=found.reference_seconds * EPOCHS,
        target=0.9 * EPOCHS,
        remark=(
            "one epoch measured, without augmentation, times 90; held-out images, which both encode once, "
            "left out"
        ),
    )
