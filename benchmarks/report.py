"""How long a report of a thousand cells takes, from its CSV to the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benchmarks.commands import within
from benchmarks.setting import Setting
from benchmarks.timing import Comparison

LIMIT = 20.0
SEEDS = 20
STUDY = """\
question: Which of fifty?
scale: cpu
design: one_factor
factors:
  rate:
    path: training.base_lr
    levels: {{{levels}}}
reference: {{rate: level 0}}
seeds: {seeds}
metric: linear_probe.top1
report: [knn.top1]
"""


def run(setting: Setting) -> Iterator[Comparison]:
    """The whole command, start-up included, with 1,000 cells: 50 variants of 20 seeds."""
    variants = 4 if setting.quick else 1000 // SEEDS
    with TemporaryDirectory(prefix="cmae-ablate-bench-") as folder:
        arguments = _made(Path(folder), variants)
        rounds = 1 if setting.quick else min(setting.rounds, 3)
        yield within(f"report of {variants * SEEDS:,} cells from their CSV", rounds, LIMIT, *arguments)


def _made(folder: Path, variants: int) -> list[str]:
    """A study and its trials; returns the command's arguments."""
    labels = [f"level {index}" for index in range(variants)]
    levels = ", ".join(f"{label}: {1e-3 * (index + 1):.4f}" for index, label in enumerate(labels))
    (folder / "study.yaml").write_text(STUDY.format(levels=levels, seeds=SEEDS))
    rng = np.random.default_rng(0)
    base = rng.normal(34, 2, SEEDS)
    rows = [
        {
            "variant": label,
            "seed": seed,
            "state": "COMPLETE",
            "rate": label,
            "linear_probe.top1": base[seed] + 0.05 * index + rng.normal(0, 1),
            "knn.top1": base[seed] / 2 + rng.normal(0, 1),
            "params.encoder": 452_000 + index,
            "params.decoder": 100_000 + 1000 * index,
            "flops.pretrain_image": 2e7 + 1e5 * index,
            "seconds.pretrain": 200 + index + rng.normal(0, 5),
        }
        for seed in range(SEEDS)
        for index, label in enumerate(labels)
    ]
    pd.DataFrame(rows).to_csv(folder / "trials.csv", index=False)
    return [
        *("report", str(folder / "study.yaml")),
        *("--trials", str(folder / "trials.csv"), "--out", str(folder / "report")),
    ]
