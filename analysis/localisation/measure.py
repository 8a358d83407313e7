"""Which heat map of a ViT finds the object? Boxes against known boxes, on validation images.

Run:   python analysis/localisation/measure.py [tiny_imagenet=PATH]
Trains MAE and CMAE by the recipe of the scale `hour` (eight epochs, with a seed that no table uses), takes
every heat map of every encoder, draws boxes by the published rule, and writes `iou.csv` and `iou.png`
beside this file. Rows of a data set that is not measured now stay. Stopped, it goes on where it was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import get_args

import pandas as pd
import torch
from matplotlib.figure import Figure

from cmae_ablate.components.crop_sampling import CENTER, FULL
from cmae_ablate.components.crops.boxes import box_areas, box_ious, boxes_from_heatmaps
from cmae_ablate.components.crops.heatmaps import Heatmap, border_distance, encoder_heatmap
from cmae_ablate.components.crops.localisation import BORDER_THRESHOLD
from cmae_ablate.components.networks import Encoder
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.data.images import WholeImages
from cmae_ablate.runner.cell import CellContext, load_model, run_cell
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.study import design, loading
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.model import assemble

HERE = Path(__file__).parent
STUDY = HERE.parents[1] / "studies" / "cmae_vs_mae.yaml"
SEED = 1000
EPOCHS = 8
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
PUBLISHED = 0.1
BATCH = 256
# Boxes from the second epoch on: eight are too few for the warm-up of the study.
CROPS = {
    "MAE": {"name": "random_resized"},
    "CMAE": {"name": "contrastive", "warmup_epochs": 1, "interval": 1},
}
# Fifty classes: minutes, not hours, and a thousand validation images.
DATASETS = {
    "scenes": ["dataset.name=scenes", "dataset.num_test=32"],
    "tiny_imagenet": ["dataset.limit_classes=50"],
}
KINDS: dict[str, tuple[Heatmap, bool]] = {
    f"{kind}{', after norm' if norm else ''}": (kind, norm)
    for kind, norm in product(get_args(Heatmap), (False, True))
    if not (norm and kind == "class_attention")
}


def main() -> None:
    """Measure each data set whose source is given; `scenes` needs none."""
    sources = dict(text.split("=", 1) for text in sys.argv[1:])
    settings = {"scenes": DATASETS["scenes"]}
    if "tiny_imagenet" in sources:
        given = ["dataset.name=tiny_imagenet", f"dataset.source={sources['tiny_imagenet']}"]
        settings["tiny_imagenet"] = [*given, *DATASETS["tiny_imagenet"]]
    rows = [row for name, changes in settings.items() for row in measure(name, changes)]
    table = HERE / "iou.csv"
    frame = updated(pd.read_csv(table) if table.is_file() else pd.DataFrame(), pd.DataFrame(rows))
    frame.to_csv(table, index=False, float_format="%.6f")
    draw(frame).savefig(HERE / "iou.png", dpi=150)


def updated(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """What was measured now, and below it what was measured before on other data sets."""
    kept = before[~before["dataset"].isin(now["dataset"])] if len(before) else before
    return pd.concat([now, kept], ignore_index=True)


def measure(name: str, settings: list[str]) -> Iterator[dict[str, object]]:
    """Every encoder, heat map and threshold on one data set."""
    schedule = [f"training.epochs={EPOCHS}", f"training.warmup_epochs={0.1 * EPOCHS}"]
    study = loading.load(STUDY, scale="hour", settings=[*settings, *schedule])
    specs = {
        variant.label: resolve(
            {**variant.spec.to_tree(), "crop": CROPS[variant.label], "evaluations": {}}, SEED
        )
        for variant in design.variants(study)
        if variant.label in CROPS
    }
    data = specs["MAE"]["dataset"].prepare()
    set_threads(specs["MAE"].training.threads)
    true = torch.from_numpy(data.validation.boxes.copy()).float()
    images = torch.cat(list(whole(data).batches(BATCH)))
    size = (images.shape[2], images.shape[3])
    known = ~true.isnan().any(dim=1)

    def row(encoder: str, heatmap: str, threshold: float | None, boxes: torch.Tensor) -> dict[str, object]:
        ious, areas = box_ious(true[known], boxes[known] if len(boxes) > 1 else boxes), box_areas(boxes)
        return {
            "dataset": name,
            "encoder": encoder,
            "heatmap": heatmap,
            "threshold": threshold,
            "images": int(known.sum()),
            "iou": float(ious.mean()),
            "iou_above_half": float((ious > 0.5).float().mean()),
            "area_p50": float(areas.quantile(0.5)),
            "area_p90": float(areas.quantile(0.9)),
        }

    yield row("none", "full image", None, torch.tensor([FULL]))
    yield row("none", "centre box", None, torch.tensor([CENTER]))
    borders = covered(boxes_from_heatmaps(border_distance(images), size, BORDER_THRESHOLD), size)
    yield row("none", "border distance", BORDER_THRESHOLD, borders)
    for label, encoder in encoders(specs, data):
        for heatmap, (kind, norm) in KINDS.items():
            maps = torch.cat(
                [encoder_heatmap(encoder, part, kind, norm=norm) for part in images.split(BATCH)]
            )
            for threshold in THRESHOLDS:
                boxes = covered(boxes_from_heatmaps(maps, size, threshold), size)
                yield row(label, heatmap, threshold, boxes)


def encoders(specs: dict[str, TrialSpec], data: DataArrays) -> Iterator[tuple[str, Encoder]]:
    """The encoder before training, and after each pretraining."""
    cell_context = CellContext(
        data, Runtime(), Path(os.environ.get("CMAE_ABLATE_LOCALISATION", "runs/localisation"))
    )
    yield "random init", assemble(specs["MAE"], data.image_size).eval().encoder
    for label, spec in specs.items():
        print(f"{data.name}: {label}", flush=True)
        yield label, load_model(spec, cell_context, run_cell(spec, cell_context).folder).encoder


def whole(data: DataArrays) -> WholeImages:
    """The validation images, uncropped and normalised."""
    return WholeImages(data, data.validation, data.image_size, torch.device("cpu"))


def covered(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """What a box covers: the published rule names the near side of its last pixel."""
    pixel = torch.tensor([0.0, 0.0, 1 / size[0], 1 / size[1]])
    return (boxes + pixel).clamp(max=1.0)


def draw(frame: pd.DataFrame) -> Figure:
    """IoU by threshold: a panel an encoder and data set, a line a heat map, baselines dashed."""
    names = list(dict.fromkeys(frame["dataset"]))
    labels = [label for label in dict.fromkeys(frame["encoder"]) if label != "none"]
    figure = Figure(figsize=(3.1 * len(labels), 2.7 * len(names) + 0.5), layout="constrained")
    grid = figure.subplots(len(names), len(labels), sharex=True, sharey=True, squeeze=False)
    colours = dict(
        zip(KINDS, ["#000000", "#999999", "#E69F00", "#F0C060", "#0072B2", "#009E73", "#7FCDB0"], strict=True)
    )
    for axes, name in zip(grid, names, strict=True):
        for axis, label in zip(axes, labels, strict=True):
            part = frame[(frame["dataset"] == name) & (frame["encoder"] == label)]
            for heatmap, line in part.groupby("heatmap", sort=False):
                style = "--" if "after norm" in str(heatmap) else "-"
                axis.plot(
                    line["threshold"], line["iou"], style, color=colours[str(heatmap)], label=heatmap, lw=1.3
                )
            baselines = frame[(frame["dataset"] == name) & (frame["encoder"] == "none")]
            for (_, baseline), dots in zip(baselines.iterrows(), ["-", "-.", ":"], strict=True):
                axis.axhline(baseline["iou"], color="#CC79A7", ls=dots, lw=1.2, label=baseline["heatmap"])
            axis.axvline(PUBLISHED, color="0.85", lw=4, zorder=0)
            axis.set_title(f"{name}: {label}", fontsize=9)
            axis.tick_params(labelsize=8)
        axes[0].set_ylabel("mean IoU with known boxes", fontsize=8)
    for axis in grid[-1]:
        axis.set_xlabel("threshold (published: the grey band)", fontsize=8)
    handles, texts = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


if __name__ == "__main__":
    main()
