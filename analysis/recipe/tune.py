"""Choose the cpu scale's learning rate and target: on validation images, with a seed that no table uses.

Run:   python analysis/recipe/tune.py            (resumes; writes analysis/recipe/validation.csv)
The reference variant of studies/decoder_size.yaml is tuned; its recipe serves every variant of every study.
"""

from __future__ import annotations

import os
import sys
from itertools import product
from pathlib import Path

import pandas as pd

from cmae_ablate import design, study_file
from cmae_ablate.arrays import prepare
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.trial import Bench, run_cell

HERE = Path(__file__).parent
STUDY = HERE.parents[1] / "studies" / "decoder_size.yaml"
SEED = 1000
EPOCHS = 4
BASE_LRS = (4e-3, 8e-3, 1.6e-2, 3.2e-2)
NORMALIZE = (False, True)
# Four times a study's validation images: a point should show. They share no panorama with test.
NUM_VALIDATION = 3200
METRIC = "linear_probe.validation_top1"
# As the scale had it when the grid ran.
CROP = ("crop.name=random_resized", "crop.scale=[0.3, 1.0]")


def main() -> None:
    """Run the grid; with two arguments, every `argv[2]`-th cell from `argv[1]` on, and no table."""
    first, stride = (int(text) for text in sys.argv[1:3]) if len(sys.argv) > 2 else (0, 1)
    rows = []
    for base_lr, normalize in list(product(BASE_LRS, NORMALIZE))[first::stride]:
        settings = [
            f"training.base_lr={base_lr}",
            f"target.normalize={str(normalize).lower()}",
            f"dataset.num_validation={NUM_VALIDATION}",
            f"training.epochs={EPOCHS}",
            f"training.warmup_epochs={0.1 * EPOCHS}",
            *CROP,
        ]
        study = study_file.load(STUDY, settings=settings)
        reference = next(v for v in design.variants(study) if v.label == design.reference_label(study))
        spec = reference.spec.with_seed(SEED)
        set_threads(spec.training.threads)
        data = prepare(spec["dataset"].build())
        cache = Path(os.environ.get("CMAE_ABLATE_TUNING", "runs/recipe"))
        result = run_cell(spec, Bench(data, Runtime(), cache))
        rows.append({"base_lr": base_lr, "normalize": normalize, METRIC: result.metrics[METRIC]})
        print(rows[-1], flush=True)
    if stride == 1:
        pd.DataFrame(rows).to_csv(HERE / "validation.csv", index=False)


if __name__ == "__main__":
    main()
