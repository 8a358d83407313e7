"""Choose the recipe by which a study on two CPU cores tells most: on validation images, seeds of no table.

Run:   OMP_NUM_THREADS=1 python analysis/recipe/tune.py     (resumes; `--train-only` evaluates nothing yet)
Trains MAE, the reference of studies/cmae_vs_mae.yaml, under every setting, and once more with a quarter
of the epochs: the positive control that a study must tell apart. Each finished cell becomes a row of
`validation.csv` at once; `sensitivity.csv` is made of those. Cells come seed by seed, so that a stopped
run has complete settings.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cmae_ablate import design, study_file
from cmae_ablate.arrays import DataArrays, prepare
from cmae_ablate.checkpoint import write_atomically
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.spec import TrialSpec
from cmae_ablate.trial import Bench, run_cell

HERE = Path(__file__).parent
STUDY = HERE.parents[1] / "studies" / "cmae_vs_mae.yaml"
SEEDS = (1000, 1001, 1002)
EPOCHS = 8
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
    "twice the images, half the epochs": ("dataset.num_train=12800", f"training.epochs={EPOCHS // 2}"),
}
"""What each changes of `BASE`; the seconds of each are measured, and the README judges by equal ones."""


@dataclass(frozen=True)
class Cell:
    """One training: a setting, whether it is the reference or the positive control, and a seed."""

    setting: str
    role: str
    seed: int

    def spec(self) -> TrialSpec:
        """The reference of the study under this setting."""
        epochs = f"training.epochs={EPOCHS}"
        study = study_file.load(STUDY, scale="hour", settings=[*BASE, epochs, *SETTINGS[self.setting]])
        label = design.reference_label(study)
        spec = next(v.spec for v in design.variants(study) if v.label == label)
        epochs_done = spec.training.epochs if self.role == "reference" else spec.training.epochs // 4
        training = spec.training.model_copy(
            update={"epochs": epochs_done, "warmup_epochs": 0.1 * epochs_done}
        )
        return replace(spec, training=training, seed=self.seed)


def cells() -> Iterator[Cell]:
    """All cells, in the order in which they are worth having: whole settings, seed by seed."""
    for seed in SEEDS:
        for setting in SETTINGS:
            for role in ("reference", "control"):
                yield Cell(setting, role, seed)


def main() -> None:
    """Train and evaluate what `validation.csv` lacks."""
    train_only = "--train-only" in sys.argv[1:]
    path = HERE / "validation.csv"
    done = pd.read_csv(path).to_dict("records") if path.is_file() else []
    known = {(row["setting"], row["role"], row["seed"]) for row in done}
    for cell in cells():
        if (cell.setting, cell.role, cell.seed) in known:
            continue
        spec = cell.spec()
        set_threads(spec.training.threads)
        bench = Bench(opened(spec), Runtime(), Path(os.environ.get("CMAE_ABLATE_TUNING", "runs/recipe")))
        seconds = trained(spec, bench)
        print(cell, f"{seconds:.0f} s", flush=True)
        if train_only:
            continue
        found = run_cell(spec, bench).metrics
        row = {"setting": cell.setting, "role": cell.role, "seed": cell.seed, "epochs": spec.training.epochs}
        row |= {"cpu_seconds": seconds}
        row |= {f"{name}.validation_top1": found[f"{name}.validation_top1"] for name in METRICS}
        done.append(row)
        pd.DataFrame(done).to_csv(path, index=False)
    if done:
        sensitivity(pd.DataFrame(done)).to_csv(HERE / "sensitivity.csv", index=False, float_format="%.4f")


def opened(spec: TrialSpec) -> DataArrays:
    """The data of a trial, made at the first call."""
    return prepare(spec["dataset"].build())


def trained(spec: TrialSpec, bench: Bench) -> float:
    """Pretrain, unless that is done; the processor seconds that it took."""
    file = bench.folder(spec) / "cpu_seconds.json"
    if not file.is_file():
        started = time.process_time()
        run_cell(replace(spec, evaluations={}), bench)
        write_atomically(file, json.dumps(time.process_time() - started).encode())
    return float(json.loads(file.read_text()))


def sensitivity(rows: pd.DataFrame) -> pd.DataFrame:
    """By setting and metric: the mean paired difference of reference and control, over its noise.

    Two or three seeds say little of a standard deviation, so that of a metric is pooled over all settings
    (within settings, degrees of freedom seeds - 1 each).

    Returns:
        `setting, metric, n, difference, sd_pooled, sensitivity, cpu_seconds` (of the reference).
    """
    keys = ["setting", "seed"]
    sides = {role: part.set_index(keys) for role, part in rows.groupby("role")}
    found = []
    for name in METRICS:
        metric = f"{name}.validation_top1"
        gaps = (sides["reference"][metric] - sides["control"][metric]).dropna().groupby("setting")
        squares, freedom = ((gaps.count() - 1) * gaps.var().fillna(0)).sum(), (gaps.count() - 1).sum()
        noise = (squares / freedom) ** 0.5 if freedom else float("nan")
        for setting in SETTINGS:
            if setting in gaps.groups:
                gap, n = gaps.mean()[setting], gaps.count()[setting]
                seconds = sides["reference"]["cpu_seconds"].groupby("setting").mean()[setting]
                found.append((setting, metric, n, gap, noise, gap / noise, seconds))
    columns = ["setting", "metric", "n", "difference", "sd_pooled", "sensitivity", "cpu_seconds"]
    return pd.DataFrame(found, columns=columns)


if __name__ == "__main__":
    main()
