"""What a trial costs, counted: parameters, FLOPs, memory; and how fast this machine multiplies.

Costs are counted with torch's fake tensors, which have shapes and types and no values: a paper-scale
trial takes seconds to count, needs no memory, and gives the same numbers on every machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode  # documented, and exported by no public module
from torch.utils.flop_counter import FlopCounterMode

from cmae_ablate.components.networks import Encoder
from cmae_ablate.runtime import Runtime, stream
from cmae_ablate.study.choice import Choice
from cmae_ablate.study.trial_spec import PROBING, Training, TrialSpec
from cmae_ablate.training.flops import Cost
from cmae_ablate.training.model import MaskedImageModel, assemble

_COUNTS_ALIKE = (
    *("epochs", "base_lr", "min_lr", "warmup_epochs", "weight_decay", "beta1", "beta2", "grad_clip"),
    *("threads", *PROBING),
)
"""What a training may change without a step's cost changing."""

_BYTES_TRAINING = 12
"""Gradient and AdamW's two moments of one trained parameter, fp32; its weight comes on top."""


@dataclass(frozen=True)
class StepCost:
    """What one forward and backward pass costs.

    Attributes:
        flops: Of matrix products and convolutions, two per multiply-add; the rest is not counted.
        activation_bytes: Kept from the forward pass for the backward pass, parameters excluded.
    """

    flops: int
    activation_bytes: int


@dataclass(frozen=True)
class _EncoderCost:
    """FLOPs of encoding one whole image, and of training on it; its patches, and their width."""

    encode: float
    train: float
    num_patches: int
    embed_dim: int


def measure(spec: TrialSpec, image_size: int) -> Cost:
    """Count a trial's cost at its own batch size, without computing anything; the same for every seed.

    Args:
        spec: The trial.
        image_size: Side of the encoder's input in pixels.

    Raises:
        UserError: The parts do not fit each other or the image.
    """
    # Variants that differ in a learning rate only are counted once: a study may have hundreds.
    alike = {name: getattr(Training(), name) for name in _COUNTS_ALIKE}
    training = spec.training.model_copy(update=alike)
    return _measure(replace(spec, seed=0, evaluations={}, training=training), image_size)


@lru_cache(maxsize=64)
def _measure(spec: TrialSpec, image_size: int) -> Cost:
    batch = spec.training.batch_size
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    model = _valueless_model(spec, image_size, fake)
    masks = [model.masking.sample(batch, stream(0, "cost", view)) for view in range(model.num_views)]
    rngs = {name: stream(0, "cost", name) for name in spec.objectives}
    with fake, Runtime(precision=spec.training.precision).autocast():
        images = [torch.empty(batch, 3, image_size, image_size) for _ in masks]
        step = profile(lambda: model.total(model(images, masks, rngs)), model.parameters())
    encoder = _encoder_cost(spec["backbone"], image_size)
    return Cost(
        num_views=model.num_views,
        params_encoder=count_parameters(model.encoder),
        params_decoder=count_parameters(model.decoder),
        params_objectives={name: count_parameters(part) for name, part in model.objectives.items()},
        flops_image=step.flops / batch,
        flops_encode=encoder.encode,
        flops_train_encoder=encoder.train,
        memory_bytes=_state_bytes(model) + step.activation_bytes,
        num_patches=encoder.num_patches,
        embed_dim=encoder.embed_dim,
    )


@lru_cache(maxsize=16)
def _encoder_cost(backbone: Choice, image_size: int) -> _EncoderCost:
    """Of all variants with this backbone."""
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with torch.device("meta"):
        built: Encoder = backbone.build(image_size)
    with fake:
        encoder, image = built.to_empty(device="cpu").train(), torch.empty(1, 3, image_size, image_size)
        whole = profile(lambda: encoder.encode(image, None).sum(), encoder.parameters())
        encode = float(forward_flops(lambda: encoder.encode(image, None)))
    return _EncoderCost(encode, float(whole.flops), math.prod(encoder.grid), encoder.embed_dim)


def count_parameters(part: object) -> int:
    """Trained parameters of a module; 0 of a part that is no module."""
    parameters = part.parameters() if isinstance(part, nn.Module) else ()
    return sum(parameter.numel() for parameter in parameters if parameter.requires_grad)


def profile(loss: Callable[[], Tensor], parameters: Iterable[Tensor] = ()) -> StepCost:
    """Count one forward and backward pass on the CPU, of real or fake tensors.

    Attention counts as on paper, 2 products forward and 4 backward, whatever a kernel computes again to
    save memory.

    Args:
        loss: Runs the forward pass and returns the scalar to differentiate.
        parameters: Tensors that are kept anyway and are no activations.
    """
    # Views of one storage share the object, which fake storages have, too, and no address.
    known = {parameter.untyped_storage() for parameter in parameters}
    kept: set[torch.UntypedStorage] = set()

    def pack(tensor: Tensor) -> Tensor:
        kept.add(tensor.untyped_storage())
        return tensor

    with _counter() as counter:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            value = loss()
        value.backward()
    return StepCost(int(counter.get_total_flops()), sum(storage.nbytes() for storage in kept - known))


def forward_flops(forward: Callable[[], object]) -> int:
    """FLOPs of a forward pass alone, on the CPU, of real or fake tensors."""
    with torch.no_grad(), _counter() as counter:
        forward()
    return int(counter.get_total_flops())


def matmul_speed(runtime: Runtime, seconds: float = 0.3) -> float:
    """FLOP/s of a large matrix product on this machine, in the runtime's precision.

    Args:
        runtime: Device and precision.
        seconds: About how long to measure.
    """
    side = 4096 if runtime.device.type == "cuda" else 768
    left, right = (torch.randn(side, side, device=runtime.device) for _ in range(2))
    with torch.no_grad(), runtime.autocast():
        _timed(lambda: left @ right, runtime.device)
        once = _timed(lambda: left @ right, runtime.device)
        rounds = max(1, min(1000, int(seconds / once)))
        total = sum(_timed(lambda: left @ right, runtime.device) for _ in range(rounds))
    return 2.0 * side**3 * rounds / total


def _valueless_model(spec: TrialSpec, image_size: int, fake: FakeTensorMode) -> MaskedImageModel:
    # By way of the meta device: modules that are copied while they are built cannot be built of fake tensors.
    with torch.device("meta"):
        model = assemble(spec, image_size)
    with fake:
        model = model.to_empty(device="cpu").train()
    # These are no modules, but for some targets. Masks are drawn with values, as some samplers read what they
    # drew.
    model.masking = spec["masking"].build(model.encoder.grid)
    if not isinstance(model.target, nn.Module):
        model.target = spec["target"].build(model.encoder.patch_size)
    return model


def _state_bytes(model: nn.Module) -> int:
    held = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    return held + _BYTES_TRAINING * count_parameters(model)


def _timed(work: Callable[[], object], device: torch.device) -> float:
    # Of one thread the time that it computes: what else the machine does has no part in it.
    is_alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.thread_time if is_alone else time.perf_counter
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


def _counter() -> FlopCounterMode:
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    # torch has formulas for the CUDA kernels only: without these, attention on a CPU counts as free.
    formulas = {attention: _attention_flops, backward: _attention_backward_flops}
    return FlopCounterMode(display=False, custom_mapping=formulas)


def _attention_flops(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
    """Shapes of (B, heads, tokens, width) to FLOPs of the scores and of the weighted sum."""
    batch, heads, queries, width = query
    return int(2 * batch * heads * queries * key[2] * (width + value[3]))


def _attention_backward_flops(
    gradient: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any
) -> int:
    return 2 * _attention_flops(query, key, value)
