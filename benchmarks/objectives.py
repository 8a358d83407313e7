"""CMAE's step against its own MAE step: does it cost what its FLOPs say?"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.setting import Setting
from benchmarks.timing import Comparison, compare
from benchmarks.views import cpu_scale, train_step
from cmae_ablate.training.cost import measure


def run(setting: Setting) -> Iterator[Comparison]:
    """The ratio of the steps over the ratio of their FLOPs; 1 is as predicted, below is slower."""
    specs, data = cpu_scale(setting.quick)
    flops = {label: measure(specs[label], data.image_size).flops_image for label in ("MAE", "CMAE")}
    predicted = flops["CMAE"] / flops["MAE"]
    found = compare(
        "CMAE step, as fast as its FLOPs predict from the MAE step",
        train_step(specs["CMAE"], data, setting.device),
        train_step(specs["MAE"], data, setting.device),
        rounds=setting.rounds,
        repeats=3,
    )
    yield Comparison(
        found.name,
        found.ratio * predicted,
        found.low * predicted,
        found.high * predicted,
        found.own_seconds,
        found.reference_seconds,
        setting.rounds,
        target=0.8,
        remark=f"counted FLOPs: {predicted:.2f} times those of MAE at the cpu scale",
    )
