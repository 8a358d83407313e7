"""The linear probe on cached features against epochs of encoding the same images again."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.timing import Comparison, compare
from benchmarks.views import cpu_scale
from cmae_ablate.data import WholeImages
from cmae_ablate.evaluations.features import FrozenFeatures
from cmae_ablate.evaluations.linear_probe import LinearProbe
from cmae_ablate.model import assemble
from cmae_ablate.runtime import Runtime
from cmae_ablate.slots import EvaluationContext

EPOCHS = 90
BATCH = 256


def run(rounds: int, quick: bool) -> Iterator[Comparison]:
    """The whole probe, features included, against `EPOCHS` passes of the encoder over train."""
    specs, data = cpu_scale(quick)
    encoder = assemble(specs["MAE"], data.image_size).eval().encoder
    runtime = Runtime()
    images = WholeImages(data, data.train, data.image_size, runtime.device)

    def own() -> None:
        features = FrozenFeatures(encoder, data, runtime)
        LinearProbe()(EvaluationContext(encoder, features, data, runtime, 0))

    classifier = torch.nn.Sequential(
        torch.nn.BatchNorm1d(encoder.embed_dim, affine=False),
        torch.nn.Linear(encoder.embed_dim, data.num_classes),
    )
    optimiser = torch.optim.SGD(classifier.parameters(), lr=0.1, momentum=0.9)
    labels = torch.split(torch.from_numpy(data.train.labels.astype("int64")), BATCH)

    def forward_again() -> None:
        for batch, truth in zip(images.batches(BATCH), labels, strict=True):
            with torch.no_grad():
                pooled = encoder.encode(batch, None)[:, 1:].mean(dim=1)
            loss = torch.nn.functional.cross_entropy(classifier(pooled), truth)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    found = compare("", own, forward_again, rounds=min(rounds, 4))
    # Validation and test images are encoded once either way.
    factor = EPOCHS + (len(data.validation) + len(data.test)) / len(data.train)
    yield Comparison(
        f"linear probe against {EPOCHS} epochs of re-forwarding",
        found.ratio * factor,
        found.low * factor,
        found.high * factor,
        found.own_seconds,
        found.reference_seconds * factor,
        found.rounds,
        target=0.9 * EPOCHS,
        remark="one epoch measured, classifier included, augmentation not, times 90; held-out images once",
    )
