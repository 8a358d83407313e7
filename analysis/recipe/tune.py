"""Choose the recipe by which a study on two CPU cores tells most: on validation images, seeds of no table.

Run:   OMP_NUM_THREADS=1 python analysis/recipe/tune.py            (the recipe, eight epochs; resumes)
       OMP_NUM_THREADS=1 python analysis/recipe/tune.py hour       (decoder and batch at the length of `hour`)
Trains MAE, the reference of studies/cmae_vs_mae.yaml, under every setting, and once more with a quarter of
the epochs: the positive control that a study must tell apart. Each finished cell becomes a row of
`validation.csv` at once (`hour_validation.csv`); `sensitivity.csv` (`hour_sensitivity.csv`) is made of
those. `--train-only` evaluates nothing yet.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.files import write_atomically
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runner.control_cells import untrained_control
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.study import design, loading
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import Hooks

HERE = Path(__file__).parent
STUDY = HERE.parents[1] / "studies" / "cmae_vs_mae.yaml"
SEEDS = (1000, 1001, 1002)
METRICS = ("linear_probe", "attentive_probe", "knn")
# Written out, so that a scale that changes later changes nothing here. Hardly any test images are made, and
# none is looked at.
BASE = (
    "backbone={name: vit, dim: 96, depth: 4, heads: 3, patch: 8}",
    "decoder={name: transformer, depth: 2, dim: 64, heads: 4}",
    "target={name: pixels, normalize: true}",
    "masking={name: random, ratio: 0.75}",
    "crop={name: random_resized, scale: [0.2, 1.0]}",
    "training.batch_size=64",
    "training.base_lr=8.0e-3",
    "training.threads=1",
    "dataset={name: scenes, num_train: 6400, num_validation: 3200, num_test: 32}",
)
SETTINGS = {
    "base": (),
    "plain pixels": ("target.normalize=false",),
    "batch 32": ("training.batch_size=32",),
    "rate x 2": ("training.base_lr=1.6e-2",),
    "rate / 2": ("training.base_lr=4.0e-3",),
    "decoder depth 4": ("decoder.depth=4",),
    "mask 0.6": ("masking.ratio=0.6",),
    "twice the images, half the epochs": ("dataset.num_train=12800", "training.epochs=4"),
}
"""What each changes of `BASE`; the seconds of each are measured, and the README judges by equal ones."""
HOUR = ("training.batch_size=32", "decoder.depth=1")


@dataclass(frozen=True)
class Sweep:
    """Settings that are compared with each other, all of one length.

    Attributes:
        epochs: Of a reference.
        settings: What each changes of `BASE`; all begin with the same encoder.
        prefix: How the names of its files begin.
    """

    epochs: int
    settings: Mapping[str, tuple[str, ...]]
    prefix: str


FIRST = Sweep(8, SETTINGS, "")
SWEEPS = {
    "first": FIRST,
    "hour": Sweep(
        16,
        {
            "base": HOUR,
            "decoder depth 2": (*HOUR, "decoder.depth=2"),
            "batch 64": (*HOUR, "training.batch_size=64"),
            "narrow decoder": (*HOUR, "decoder.narrowing=4"),
        },
        "hour_",
    ),
}


@dataclass(frozen=True)
class Cell:
    """One encoder: a setting, a seed, and whether it is the reference, the positive control or untrained."""

    setting: str
    role: str
    seed: int
    sweep: Sweep = FIRST

    def spec(self) -> TrialSpec:
        """The reference of the study under this setting."""
        settings = [*BASE, f"training.epochs={self.sweep.epochs}", *self.sweep.settings[self.setting]]
        study = loading.load(STUDY, scale="hour", settings=settings)
        label = design.reference_label(study)
        spec = next(v.spec for v in design.variants(study) if v.label == label)
        epochs = spec.training.epochs // (4 if self.role == "control" else 1)
        training = spec.training.model_copy(update={"epochs": epochs, "warmup_epochs": 0.1 * epochs})
        return replace(spec, training=training, seed=self.seed)


def cells(sweep: Sweep = FIRST) -> list[Cell]:
    """All cells, in the order in which they are worth having.

    A setting's next seed comes beside the first one of the setting three further on: a run that is stopped
    early has seen both several settings and, by two seeds of the first ones, the noise.
    """
    grid = itertools.product(enumerate(SEEDS), enumerate(sweep.settings))
    ranked = sorted((3 * turn + place, seed, setting) for (turn, seed), (place, setting) in grid)
    pairs = [(seed, setting) for _, seed, setting in ranked]
    # All settings begin with the same encoder, so it is read untrained under the first alone.
    first = next(iter(sweep.settings))
    return [
        Cell(setting, role, seed, sweep)
        for seed, setting in pairs
        for role in ("reference", "control", *(["untrained"] if setting == first else []))
    ]


def main() -> None:
    """Train and evaluate what `validation.csv` lacks."""
    train_only = "--train-only" in sys.argv[1:]
    sweep = SWEEPS[next((word for word in sys.argv[1:] if not word.startswith("-")), "first")]
    path = HERE / f"{sweep.prefix}validation.csv"
    done = pd.read_csv(path).to_dict("records") if path.is_file() else []
    known = {(row["setting"], row["role"], row["seed"]) for row in done}
    for cell in cells(sweep):
        if (cell.setting, cell.role, cell.seed) in known:
            continue
        spec = cell.spec()
        set_threads(spec.training.threads)
        cell_context = CellContext(
            opened(spec), Runtime(), Path(os.environ.get("CMAE_ABLATE_TUNING", "runs/recipe"))
        )
        untrained = cell.role == "untrained"
        seconds = 0.0 if untrained else trained(spec, cell_context)
        print(f"{cell.setting}, {cell.role}, seed {cell.seed}: {seconds:.0f} s", flush=True)
        if train_only:
            continue
        evaluated = (
            untrained_control(spec, cell_context, Hooks()) if untrained else run_cell(spec, cell_context)
        )
        row = {"setting": cell.setting, "role": cell.role, "seed": cell.seed}
        row |= {"epochs": 0 if untrained else spec.training.epochs, "cpu_seconds": seconds}
        row |= {f"{name}.validation_top1": evaluated.metrics[f"{name}.validation_top1"] for name in METRICS}
        done.append(row)
        pd.DataFrame(done).to_csv(path, index=False)
        table = sensitivity(pd.DataFrame(done))
        table.to_csv(HERE / f"{sweep.prefix}sensitivity.csv", index=False, float_format="%.4f")


def opened(spec: TrialSpec) -> DataArrays:
    """The data of a trial, made at the first call."""
    return spec["dataset"].prepare()


def trained(spec: TrialSpec, cell_context: CellContext) -> float:
    """Pretrain, unless that is done; the processor seconds that it took, over all sittings."""
    file = cell_context.folder(spec) / "cpu_seconds.json"
    before = float(json.loads(file.read_text())) if file.is_file() else 0.0
    started = time.process_time()

    def keep(epoch: int, metrics: Mapping[str, float]) -> None:
        write_atomically(file, json.dumps(before + time.process_time() - started).encode())

    run_cell(replace(spec, evaluations={}), cell_context, Hooks(on_epoch=keep))
    return float(json.loads(file.read_text()))


def sensitivity(rows: pd.DataFrame) -> pd.DataFrame:
    """By setting and metric: the mean paired difference of reference and control, over its noise.

    Two or three seeds say little of a standard deviation, so that of a metric is pooled over all settings
    (within settings, degrees of freedom seeds - 1 each).

    Returns:
        `setting, metric, n, difference, sd_pooled, sensitivity, cpu_seconds` (of the reference).
    """
    found = []
    seconds = rows[rows["role"] == "reference"].groupby("setting")["cpu_seconds"].mean()
    for name in METRICS:
        metric = f"{name}.validation_top1"
        sides = rows.pivot(index=["setting", "seed"], columns="role", values=metric)
        sides = sides.reindex(columns=["reference", "control"])
        gaps = (sides["reference"] - sides["control"]).dropna().groupby("setting")
        squares, freedom = ((gaps.count() - 1) * gaps.var().fillna(0)).sum(), (gaps.count() - 1).sum()
        noise = (squares / freedom) ** 0.5 if freedom else float("nan")
        for setting, gap in gaps.mean().items():
            n = gaps.count()[setting]
            found.append((setting, metric, n, gap, noise, gap / noise, seconds[setting]))
    columns = ["setting", "metric", "n", "difference", "sd_pooled", "sensitivity", "cpu_seconds"]
    return pd.DataFrame(found, columns=columns)


if __name__ == "__main__":
    main()
