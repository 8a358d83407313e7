"""The folders of runs below the one that `tensorboard --logdir` is given; their paths are the runs' names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from cmae_ablate.tracking.tracker import CellId


def study_folder(folder: Path, study: str) -> Path:
    """Where a study's runs are; its controls and its tuning are below it."""
    return folder.joinpath(*map(run_name, study.split("/")))


def cell_folder(study: Path, cell: CellId) -> Path:
    """Where a cell's run is; one of other settings, with another fingerprint, has another."""
    variant, seed, fingerprint = cell
    return study / run_name(variant) / f"seed {seed} {fingerprint[:8]}"


def run_name(label: str) -> str:
    """A label as the name of one folder, and of no other label."""
    name = quote(label, safe=" +,=()")
    return name.replace(".", "%2E") if name in (".", "..") else name
