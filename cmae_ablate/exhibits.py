"""What a finished run can show beside its numbers: curves, pictures, test predictions, links to its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cmae_ablate.arrays import Split
from cmae_ablate.campaign import Campaign
from cmae_ablate.database_url import redact, sqlite_path
from cmae_ablate.finished import check_predictions, check_record
from cmae_ablate.pictures import save_crops
from cmae_ablate.queue import CellStatus
from cmae_ablate.records import DamagedError, read_record
from cmae_ablate.report.frame import Cell, ReportExtras
from cmae_ablate.tracking.connection import UI_ADDRESS, connect, ui_command
from cmae_ablate.tracking.tree import FINGERPRINT, KIND, SEED, VARIANT

CURVES = ("variant", "seed", "epoch", "name", "value")
RECONSTRUCTIONS, CROPS = "reconstructions.png", "crops.png"


def exhibits(
    campaign: Campaign, statuses: Sequence[CellStatus], environment: Mapping[str, str], command: str
) -> ReportExtras:
    """Gather what the cache, the tracker and this machine add to the CSVs.

    Args:
        campaign: The study.
        statuses: Its cells.
        environment: Versions and hardware.
        command: The command line that repeats the study.
    """
    curves: list[dict[str, Any]] = []
    pictures: dict[str, Path] = {}
    crops: dict[str, Path] = {}
    correct = {}
    clusters: NDArray[np.int64] | None = None
    warnings: dict[Cell, str] = {}
    compares_crops = len({json.dumps(v.spec["crop"].to_tree()) for v in campaign.variants}) > 1
    for status in statuses:
        folder = Path(str(status.results.get("folder", "")))
        if status.state != "COMPLETE" or not (folder / "result.json").is_file():
            continue  # imported from another machine: its numbers are here, its files are not
        cell = (status.cell.variant, status.cell.seed)
        try:
            record = check_record(folder)
            hits = _correct(campaign, status, folder)
        except (DamagedError, FileNotFoundError) as error:
            warnings[cell] = f"{error}; run the study again, and it is made again"
            continue
        curves += _curves(record["history"], *cell)
        if record.get("warning"):
            warnings[cell] = str(record["warning"])
        if (folder / RECONSTRUCTIONS).is_file():
            pictures.setdefault(status.cell.variant, folder / RECONSTRUCTIONS)
        if (
            compares_crops
            and status.cell.variant not in crops
            and (drawn := _crops(campaign, status, folder))
        ):
            crops[status.cell.variant] = drawn
        if hits is not None:
            correct[cell] = hits
            clusters = image_clusters(campaign.data_of(campaign.cell(status.cell).spec).test)
    links = run_links(campaign, statuses)
    return ReportExtras(
        curves=pd.DataFrame(curves, columns=list(CURVES)) if curves else None,
        reconstructions=pictures,
        crop_boxes=crops,
        correct=correct,
        clusters=clusters,
        warnings=warnings,
        links=links,
        links_open=ui_command(campaign.places.tracking) if links else "",
        environment=environment,
        command=command,
        git=environment.get("git", ""),
    )


def run_links(campaign: Campaign, statuses: Sequence[CellStatus]) -> dict[Cell, str]:
    """The address of each cell's MLflow run; none where the store does not exist or is away."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    uri = campaign.places.tracking
    database = sqlite_path(uri)
    if database is not None and not database.is_file():
        return {}
    wanted = {(s.cell.variant, str(s.cell.seed), s.cell.fingerprint) for s in statuses}
    root = redact(uri).rstrip("/") if uri.startswith("http") else UI_ADDRESS
    links: dict[Cell, str] = {}
    try:
        client = connect(uri)
        experiment = client.get_experiment_by_name(campaign.study.name)
        token = None
        while experiment is not None:
            page = client.search_runs(
                [experiment.experiment_id], f"tags.`{KIND}` = 'seed'", max_results=1000, page_token=token
            )
            for run in page:
                tags = run.data.tags
                key = (tags.get(VARIANT, ""), tags.get(SEED, ""), tags.get(FINGERPRINT, ""))
                if key in wanted:
                    address = f"{root}/#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}"
                    links[key[0], int(key[1])] = address
            token = page.token
            if not token:
                break
    except (MlflowException, SQLAlchemyError, OSError):
        return {}  # the tracker has said that the store is away; a report needs no links
    return links


def _crops(campaign: Campaign, status: CellStatus, folder: Path) -> Path | None:
    """A picture of the cell's crops, drawn once; None where what its crop learnt was not kept."""
    path = folder / CROPS
    if not path.is_file():
        spec = campaign.cell(status.cell).spec
        save_crops(spec, campaign.data_of(spec), folder / "crop.safetensors", path)
    return path if path.is_file() else None


def _curves(history: Sequence[Mapping[str, float]], variant: str, seed: int) -> list[dict[str, Any]]:
    return [
        {"variant": variant, "seed": seed, "epoch": epoch, "name": name, "value": value}
        for epoch, metrics in enumerate(history, start=1)
        for name, value in metrics.items()
    ]


def _correct(campaign: Campaign, status: CellStatus, folder: Path) -> NDArray[np.bool_] | None:
    label = campaign.study.metric.split(".")[0]
    for record_path in folder.glob("*-*.json"):
        record = read_record(record_path)
        if record.get("label") == label and record.get("predictions"):
            predicted = check_predictions(folder, record)
            labels = campaign.data_of(campaign.cell(status.cell).spec).test.labels
            if predicted is None or len(predicted) != len(labels):
                raise DamagedError(record_path, "it has predictions of other images")
            return np.asarray(predicted == labels)
    return None


def image_clusters(test: Split) -> NDArray[np.int64]:
    """What each test image belongs to: its source where the data set knows it, else its class."""
    return np.asarray(test.labels if test.groups is None else test.groups, dtype=np.int64)
