"""How large shall the objects of `scenes` be? By what pretraining gains, and by what boxes can find.

Run:   OMP_NUM_THREADS=1 python analysis/recipe/sizes.py     (about 4 minutes a range on one core)
For each range of sizes the embedded data are made with it, MAE is trained for ten epochs, and encoder and
untrained encoder are read on validation images, with a seed that no table uses; writes `sizes.csv`.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch

from cmae_ablate.components.crop_sampling import CENTER, FULL
from cmae_ablate.components.crops.boxes import box_ious, boxes_from_heatmaps
from cmae_ablate.components.crops.heatmaps import border_distance, encoder_heatmap
from cmae_ablate.components.crops.localisation import BORDER_THRESHOLD
from cmae_ablate.components.datasets import scenes_render
from cmae_ablate.components.networks import Encoder
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.data.images import WholeImages
from cmae_ablate.runner.cell import CellContext, load_model, run_cell
from cmae_ablate.runner.control_cells import untrained_control
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.study import design, loading
from cmae_ablate.training.loop import Hooks
from cmae_ablate.training.untrained import untrained_encoder

HERE = Path(__file__).parent
STUDY = HERE.parents[1] / "studies" / "cmae_vs_mae.yaml"
SEED = 1000
RANGES = ((0.45, 0.85), (0.55, 0.95))
SETTINGS = ("training.epochs=10", "training.warmup_epochs=1", "dataset.num_test=32")
METRICS = ("linear_probe.validation_top1", "attentive_probe.validation_top1")
MAP, THRESHOLD = "feature_norm", 0.5  # the best of a trained MAE on `scenes`: analysis/localisation
BATCH = 256


def main() -> None:
    """Measure every range."""
    rows = []
    for longest_side in RANGES:
        scenes_render.LONGEST_SIDE = longest_side
        with TemporaryDirectory() as folder:
            # Not in the user's cache: its key does not know of another range.
            os.environ["CMAE_ABLATE_CACHE"] = folder
            rows.append({"shortest": longest_side[0], "longest": longest_side[1], **measure(Path(folder))})
        pd.DataFrame(rows).to_csv(HERE / "sizes.csv", index=False, float_format="%.4f")


def measure(folder: Path) -> dict[str, float]:
    """Gain and localisation with the present range."""
    study = loading.load(STUDY, scale="hour", settings=SETTINGS)
    spec = next(v.spec for v in design.variants(study) if v.label == design.reference_label(study))
    spec = spec.with_seed(SEED)
    set_threads(spec.training.threads)
    data = spec["dataset"].prepare()
    context = CellContext(data, Runtime(), folder / "cells")
    untrained = untrained_control(spec, context, Hooks()).metrics
    trained = run_cell(spec, context)
    found = {f"untrained.{name}": untrained[name] for name in METRICS}
    found |= {f"mae.{name}": trained.metrics[name] for name in METRICS}
    encoders = {
        "untrained": untrained_encoder(spec, data.image_size),
        "mae": load_model(spec, context, trained.folder).encoder,
    }
    return found | localisation(data, encoders)


def localisation(data: DataArrays, encoders: dict[str, Encoder]) -> dict[str, float]:
    """Mean IoU with the known boxes: of boxes that need no training, and of each encoder's map."""
    device = torch.device("cpu")
    images = torch.cat(list(WholeImages(data, data.validation, data.image_size, device).batches(BATCH)))
    true = torch.from_numpy(data.validation.boxes.copy()).float()
    size = (data.image_size, data.image_size)

    def iou(boxes: torch.Tensor) -> float:
        return float(box_ious(true, boxes).mean())

    found = {"iou.full": iou(torch.tensor([FULL])), "iou.centre": iou(torch.tensor([CENTER]))}
    found["iou.border"] = iou(boxes_from_heatmaps(border_distance(images), size, BORDER_THRESHOLD))
    for name, encoder in encoders.items():
        maps = torch.cat([encoder_heatmap(encoder, part, MAP, norm=False) for part in images.split(BATCH)])
        found[f"iou.{name}"] = iou(boxes_from_heatmaps(maps, size, THRESHOLD))
    return found


if __name__ == "__main__":
    main()
