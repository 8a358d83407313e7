"""Choose the cpu scale's learning rate and crop scale: on validation images, with seeds that no table uses.

Run:   python analysis/recipe/tune.py            (resumes; writes analysis/recipe/validation.csv)
The reference variant of studies/decoder_size.yaml is tuned, and its recipe serves every variant of every study.
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
SEEDS = (1000, 1001)
BASE_LRS = (4e-3, 8e-3, 1.6e-2, 3.2e-2)
CROP_SCALES = (0.3, 0.6)
METRIC = "linear_probe.validation_top1"


def main() -> None:
    """Run the grid, shard `sys.argv[1]` of `sys.argv[2]` where given, and print the means."""
    shard, shards = (int(text) for text in sys.argv[1:3]) if len(sys.argv) > 2 else (0, 1)
    rows = []
    for index, (seed, base_lr, scale) in enumerate(product(SEEDS, BASE_LRS, CROP_SCALES)):
        if index % shards != shard:
            continue
        settings = [f"training.base_lr={base_lr}", f"crop.scale=[{scale}, 1.0]"]
        study = study_file.load(STUDY, settings=settings)
        reference = next(v for v in design.variants(study) if v.label == design.reference_label(study))
        spec = reference.spec.with_seed(seed)
        set_threads(spec.training.threads)
        data = prepare(spec["dataset"].build())
        cache = Path(os.environ.get("CMAE_ABLATE_TUNING", "runs/recipe"))
        result = run_cell(spec, Bench(data, Runtime(), cache))
        rows.append({"base_lr": base_lr, "crop_scale": scale, "seed": seed, METRIC: result.metrics[METRIC]})
        print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    if shards == 1:
        frame.to_csv(HERE / "validation.csv", index=False)
        print(frame.groupby(["base_lr", "crop_scale"])[METRIC].agg(["mean", "min", "max"]).round(2))


if __name__ == "__main__":
    main()
