"""The commands that take pretrained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmae_ablate.cli.shared import Device, check_device
from cmae_ablate.terminal import open_console

app = typer.Typer()

Checkpoint = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT",
        help="OUT/cache/pretrain/FINGERPRINT, its model.safetensors, or an MAE file (.pth, .safetensors).",
        show_default=False,
    ),
]


@app.command()
def evaluate(
    checkpoint: Checkpoint,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="As evaluations.knn.k=5, or dataset.name=folder."),
    ] = None,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers here too.")] = None,
) -> None:
    """Evaluate pretrained weights: by their own trial's evaluations, or those set. No cache is written."""
    check_device(device)
    from cmae_ablate.cli.weights.evaluating import evaluate_checkpoint

    evaluate_checkpoint(checkpoint, settings or [], device, out, open_console())


@app.command()
def reconstruct(
    checkpoint: Checkpoint,
    count: Annotated[int, typer.Option(metavar="N", help="Images, 1 to 64.")] = 8,
    split: Annotated[str, typer.Option(metavar="NAME", help="train, validation or test.")] = "validation",
    boxes: Annotated[
        bool, typer.Option("--boxes", help="Heat maps, their boxes and the known ones too.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="As masking.ratio=0.5, or dataset.name=folder."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="PNG", help="Where to draw.")] = Path("reconstructions.png"),
) -> None:
    """Draw images as they are, masked, and reconstructed; warn of features that collapsed."""
    from cmae_ablate.cli.weights.reconstructing import reconstruct_checkpoint

    reconstruct_checkpoint(checkpoint, settings or [], count, split, boxes, out, open_console())


@app.command()
def export(
    checkpoint: Checkpoint,
    form: Annotated[
        str,
        typer.Option("--format", metavar="timm|mae|safetensors", help="Whose layout.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(metavar="PATH", help="The file to write.", show_default=False)],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="For MAE files of unusual width: backbone.heads=4."),
    ] = None,
) -> None:
    """Write pretrained weights for other programs."""
    from cmae_ablate.cli.weights.exporting import export_checkpoint

    export_checkpoint(checkpoint, settings or [], form, out, open_console())
