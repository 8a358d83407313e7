"""Choose one learning rate of fine-tuning at `hour` for both recipes: validation images, a seed of no table.

Run:   OMP_NUM_THREADS=1 python analysis/recipe/fine_tuning.py     (about 50 minutes on one core; resumes)
Pretrains MAE, the reference of studies/fine_tuning.yaml, and fine-tunes it by each of the study's recipes
with each rate. Each finished training becomes a row of `fine_tuning.csv` at once; the README there says what
was chosen.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.study import design, loading

HERE = Path(__file__).parent
STUDY = HERE.parents[1] / "studies" / "fine_tuning.yaml"
SEED = 1000
RATES = (5e-4, 2e-3, 8e-3, 3.2e-2)
RECIPES = ("MAE + plain", "MAE + mixed")
# Hardly any test image is made, and none is looked at.
SETTINGS = ("dataset.num_test=32", "evaluations.fine_tune.epochs=16", "evaluations.fine_tune.batch_size=64")


def main() -> None:
    """Train what `fine_tuning.csv` lacks."""
    path = HERE / "fine_tuning.csv"
    done = pd.read_csv(path).to_dict("records") if path.is_file() else []
    known = {(row["variant"], row["base_lr"]) for row in done}
    for rate in RATES:
        study = loading.load(
            STUDY, scale="hour", settings=(*SETTINGS, f"evaluations.fine_tune.base_lr={rate}")
        )
        specs = {variant.label: variant.spec for variant in design.variants(study)}
        for label in RECIPES:
            if (label, rate) in known:
                continue
            spec = specs[label].with_seed(SEED)
            spec = replace(spec, evaluations={"fine_tune": spec.evaluations["fine_tune"]})
            set_threads(spec.training.threads)
            folder = Path(os.environ.get("CMAE_ABLATE_TUNING", "runs/recipe"))
            cell = run_cell(spec, CellContext(spec["dataset"].prepare(), Runtime(), folder))
            accuracy = cell.metrics["fine_tune.validation_top1"]
            done.append({"variant": label, "base_lr": rate, "seed": SEED, "validation_top1": accuracy})
            pd.DataFrame(done).to_csv(path, index=False)
            print(done[-1], flush=True)


if __name__ == "__main__":
    main()
