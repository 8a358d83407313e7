"""What the time of a step on a CPU is made of, by kinds of operators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

PRODUCTS, ELSE = "matrix products", "everything else"
KINDS: Mapping[str, tuple[str, ...]] = {
    PRODUCTS: ("mm", "addmm", "bmm", "baddbmm", "linear", "mkldnn_convolution", "convolution_backward"),
    "attention": (
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_flash_attention_for_cpu_backward",
    ),
    "layer norms": ("native_layer_norm", "native_layer_norm_backward"),
    "GELU": ("gelu", "gelu_backward"),
    "AdamW": ("_fused_adamw_",),
}
"""Operators of ATen by what they are for; the others are sums, copies and what starting them takes."""
MICRO = 1e-6


def seconds_by_kind(work: Callable[[], object]) -> dict[str, float]:
    """Processor seconds that each kind of operator takes itself, what it calls left out; largest first.

    Profiled, an operator takes a few microseconds more: small ones are overstated.

    Args:
        work: Called twice; the second time counts.
    """
    work()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    kind_of = {f"aten::{name}": kind for kind, names in KINDS.items() for name in names}
    seconds: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        seconds[kind_of.get(event.key, ELSE)] += MICRO * event.self_cpu_time_total
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def flops_of_products(work: Callable[[], object]) -> int:
    """FLOPs of the matrix products alone, two per multiply-add."""
    with FlopCounterMode(display=False) as counter:
        work()
    names = {f"aten.{name}" for name in KINDS[PRODUCTS]}
    return sum(
        flops for operator, flops in counter.get_flop_counts()["Global"].items() if str(operator) in names
    )


def anatomy(work: Callable[[], object], peak: float) -> str:
    """The shares in words, and how near the matrix products come to the speed of a large one.

    Args:
        work: One step.
        peak: FLOP/s of a large matrix product.
    """
    seconds = seconds_by_kind(work)
    whole = sum(seconds.values())
    speed = flops_of_products(work) / seconds[PRODUCTS] / peak
    shares = (
        f"{kind} {each / whole:.0%}{f' (at {speed:.0%} of that speed)' if kind == PRODUCTS else ''}"
        for kind, each in seconds.items()
    )
    return f"profiled, its time is {', '.join(shares)}"
