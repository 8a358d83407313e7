"""A training step with its optimiser: ours against each reference, on the same weights, images and masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from benchmarks import reference
from benchmarks.anatomy import anatomy
from benchmarks.reference import BETAS, DECAY, RATE, Reference
from benchmarks.setting import Setting
from benchmarks.size import SIZES, TINY, Size
from benchmarks.timing import Comparison, compare
from cmae_ablate.runtime import Runtime, set_precision
from cmae_ablate.tokens import PatchMask
from cmae_ablate.training.cost import matmul_speed, profile
from cmae_ablate.training.model import MaskedImageModel
from cmae_ablate.training.optimizer import parameter_groups

BATCH = 32
GPU_BATCH = 512
TOLERANCE = 1e-6
LEAST, LEAST_OF_OFFICIAL, LEAST_QUARTILE = 1.05, 1.08, 1.05
"""How much faster ours should be on a CPU; than the official code at the first quartile, too."""
RUNTIMES = {
    "cpu": [Runtime()],
    "cuda": [
        Runtime(torch.device("cuda"), "fp32"),
        Runtime(torch.device("cuda"), "tf32"),
        Runtime(torch.device("cuda"), "bf16"),
        Runtime(torch.device("cuda"), "bf16", compile=True),
    ],
}
"""What is measured on each kind of device; the reference has the same precision and is not compiled."""


def run(setting: Setting) -> Iterator[Comparison]:
    """Compare at every size, after losses and gradients were found equal."""
    for size in TINY if setting.quick else SIZES:
        for theirs in reference.references(size, setting.official):
            for runtime in RUNTIMES[setting.device.type]:
                yield step(size, theirs, runtime, setting.rounds)


def step(
    size: Size, theirs: Reference, runtime: Runtime, rounds: int, batch: int | None = None
) -> Comparison:
    """One size against one reference.

    Args:
        size: Of both.
        theirs: The reference.
        runtime: Where and how; the reference is never compiled.
        rounds: Of the comparison.
        batch: Images a step; by default what suits the device.

    Raises:
        AssertionError: Losses or gradients differ by more than 1e-6 in fp32 on a CPU, a thousandth elsewhere.
    """
    device = runtime.device
    batch = batch or (BATCH if device.type == "cpu" else GPU_BATCH)
    set_precision(runtime)
    model = reference.ours(size, theirs.module).to(device)
    theirs.module.to(device)
    theirs.module.zero_grad(set_to_none=True)
    images, noise = _batch(size, batch, device)
    optimiser = torch.optim.AdamW(parameter_groups(model, DECAY), lr=RATE, betas=BETAS, fused=True)
    forward = runtime.compiled(model)

    def own_loss() -> torch.Tensor:
        mask = PatchMask.from_scores(noise, size.num_patches // 4)
        with runtime.autocast():
            return model.total(forward([images], [mask], {}))

    def reference_loss() -> torch.Tensor:
        with runtime.autocast():
            return theirs.loss(images, noise)

    difference = _difference(model, theirs, [own_loss(), reference_loss()])
    tolerance = TOLERANCE if device.type == "cpu" else 1e-3 if runtime.precision == "fp32" else 0.1
    assert difference < tolerance, f"{size}: loss or gradients differ by {difference:.2g}"

    def own() -> None:
        optimiser.zero_grad(set_to_none=True)
        own_loss().backward()
        optimiser.step()

    how = f"{runtime.precision}{', compiled' if runtime.compile else ''}"
    where = "" if device.type == "cpu" else f" on a GPU in {how}"
    found = compare(
        f"MAE step with optimiser{where}, {size}, against {theirs.name}",
        own,
        reference_step(size, theirs, runtime, batch),
        rounds=rounds,
        repeats=2 if device.type == "cpu" else 20,
    )
    flops = _flops(size, theirs) * batch
    assert found.own_seconds is not None
    peak = matmul_speed(runtime)
    remark = (
        f"batch {batch}, {how}; loss and gradients equal to {difference:.0e}; {flops / 1e9:.1f} GFLOP "
        f"at {flops / found.own_seconds / peak:.0%} of the speed of a large matrix product"
    )
    if device.type != "cpu":
        return replace(found, remark=remark)
    if not runtime.compile:
        remark = f"{remark}; {anatomy(own, peak)}"
    if theirs.name == reference.OFFICIAL:
        return replace(found, target=LEAST_OF_OFFICIAL, least_low=LEAST_QUARTILE, remark=remark)
    return replace(found, target=LEAST, remark=remark)


def reference_step(size: Size, theirs: Reference, runtime: Runtime, batch: int) -> Callable[[], None]:
    """A reference's step with its optimiser, on the device where its module is."""
    optimiser = reference.plain_adamw(theirs.module)
    images, noise = _batch(size, batch, runtime.device)

    def work() -> None:
        optimiser.zero_grad(set_to_none=True)
        with runtime.autocast():
            loss = theirs.loss(images, noise)
        loss.backward()
        optimiser.step()

    return work


def _batch(size: Size, batch: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and noise for masks, always the same."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, size.image, size.image, generator=rng)
    return images.to(device), torch.rand(batch, size.num_patches, generator=rng).to(device)


def _difference(model: MaskedImageModel, theirs: Reference, losses: list[torch.Tensor]) -> float:
    for loss in losses:
        loss.backward()
    of_losses = abs(float(losses[0].detach() / losses[1].detach()) - 1)
    return max(of_losses, reference.largest_difference(model, theirs.module))


def _flops(size: Size, theirs: Reference) -> float:
    """FLOPs of our step on one image, counted on the CPU."""
    state = {name: value.cpu() for name, value in theirs.module.state_dict().items()}
    model = reference.ours(size, state)
    mask = PatchMask.from_scores(torch.rand(2, size.num_patches), size.num_patches // 4)
    images = torch.randn(2, 3, size.image, size.image)
    return profile(lambda: model.total(model([images], [mask], {}))).flops / 2
