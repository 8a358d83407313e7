"""A training step with its optimiser: ours against the reference, on the same weights, images and masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks import reference
from benchmarks.reference import BETAS, DECAY, RATE, Size
from benchmarks.timing import Comparison, compare
from cmae_ablate.cost import matmul_speed, profile
from cmae_ablate.optim import parameter_groups
from cmae_ablate.runtime import Runtime
from cmae_ablate.tokens import PatchMask

BATCH = 32
SIZES = (
    Size(192, 12, 3, 8, 64, 128, 4, 4),
    Size(192, 12, 3, 8, 64, 128, 1, 4),
    Size(128, 6, 4, 4, 32, 64, 4, 4),
    Size(128, 6, 4, 4, 32, 64, 1, 4),
)
TINY = (Size(32, 1, 2, 8, 32, 32, 1, 2),)
TOLERANCE = 1e-6


def run(rounds: int, quick: bool) -> Iterator[Comparison]:
    """Compare at every size, after losses and gradients were found equal."""
    for size in TINY if quick else SIZES:
        yield step(size, rounds)


def step(size: Size, rounds: int) -> Comparison:
    """One size.

    Raises:
        AssertionError: Losses or gradients differ by more than 1e-6.
    """
    theirs = reference.hugging_face(size)
    model = reference.ours(size, theirs)
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, 3, size.image, size.image, generator=rng)
    patches = (size.image // size.patch) ** 2
    noise = torch.rand(BATCH, patches, generator=rng)
    optimisers = (
        torch.optim.AdamW(parameter_groups(model, DECAY), lr=RATE, betas=BETAS, fused=True),
        reference.plain_adamw(theirs),
    )

    def own_loss() -> torch.Tensor:
        mask = PatchMask.from_scores(noise, patches // 4)
        return model.total(model([images], [mask], {}))

    def reference_loss() -> torch.Tensor:
        loss: torch.Tensor = theirs(images, noise=noise).loss
        return loss

    losses = [own_loss(), reference_loss()]
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    loss_difference = abs(float(losses[0].detach() / losses[1].detach()) - 1)
    difference = max(loss_difference, reference.largest_difference(model, theirs))
    assert difference < TOLERANCE, f"{size}: loss or gradients differ by {difference:.2g}"

    def own() -> None:
        optimisers[0].zero_grad(set_to_none=True)
        own_loss().backward()  # type: ignore[no-untyped-call]
        optimisers[0].step()

    def other() -> None:
        optimisers[1].zero_grad(set_to_none=True)
        reference_loss().backward()  # type: ignore[no-untyped-call]
        optimisers[1].step()

    flops = profile(own_loss).flops
    found = compare(
        f"MAE step with optimiser, {size}",
        own,
        other,
        rounds=rounds,
        repeats=2,
        target=1.05,
    )
    share = flops / found.own_seconds / matmul_speed(Runtime())
    return replace(
        found,
        remark=f"batch {BATCH}, fp32; loss and gradients equal to {difference:.0e}; {flops / 1e9:.1f} GFLOP "
        f"at {share:.0%} of the speed of a large matrix product",
    )
