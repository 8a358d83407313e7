"""What a study has found so far, as the frames and the description that a report is made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cmae_ablate.campaign import Campaign
from cmae_ablate.queue import CellStatus
from cmae_ablate.report.frame import ReportExtras, StudyDescription
from cmae_ablate.runtime import Runtime
from cmae_ablate.spec import TrialSpec
from cmae_ablate.study_file import Study
from cmae_ablate.trial import Bench, random_init_control, raw_pixel_control

BUDGET_NOTE = (
    "Equal epochs: every variant sees the training images equally often; cost is in columns of its own."
)


def trials_frame(statuses: Iterable[CellStatus]) -> pd.DataFrame:
    """`trials.csv`: one row a cell of the current design, in its order, with whatever is known of it."""
    rows = []
    for status in statuses:
        results = status.results
        metrics = results.get("metrics", {})
        row: dict[str, Any] = {
            "variant": status.cell.variant,
            "seed": status.cell.seed,
            "state": status.state,
        }
        row |= dict(status.cell.levels)
        row |= dict(metrics) if isinstance(metrics, Mapping) else {}
        row |= {"fingerprint": status.cell.fingerprint, "weights_sha256": results.get("weights_sha256", "")}
        rows.append(row)
    frame = pd.DataFrame(rows)
    last = ["fingerprint", "weights_sha256"]
    return frame[[column for column in frame if column not in last] + last]


def describe(
    study: Study,
    variants: Mapping[str, Mapping[str, str]],
    reference: str,
    statuses: Iterable[CellStatus] = (),
) -> StudyDescription:
    """The study in the report's words.

    Args:
        study: The study.
        variants: Level labels by factor, by variant, in table order.
        reference: Label of the reference variant.
        statuses: Its cells, if any: they know protocols, and fingerprints to compare a CSV's with.
    """
    known = list(statuses)
    return StudyDescription(
        name=study.name,
        question=study.question,
        scale=study.scale,
        variants=tuple(variants),
        reference=reference,
        factors={factor.name: tuple(factor.levels) for factor in study.factors},
        levels=variants,
        seeds=study.planned_seeds,
        metric=study.metric,
        report=study.report,
        contrasts=study.contrasts,
        equivalence_margin=study.equivalence_margin,
        notes=(BUDGET_NOTE,),
        protocols=protocols(known),
        fingerprints={(status.cell.variant, status.cell.seed): status.cell.fingerprint for status in known},
    )


def controls_frame(campaign: Campaign, runtime: Runtime) -> pd.DataFrame:
    """`controls.csv`: random-init encoders and raw pixels, through the same evaluations."""
    rows: list[dict[str, Any]] = []
    done: set[str] = set()
    for variant in campaign.variants:
        identity = _control_identity(variant.spec)
        if identity in done:
            continue
        done.add(identity)
        bench = Bench(campaign.data_of(variant.spec), runtime, campaign.places.cache)
        owner = variant.label
        for seed in range(campaign.study.seeds):
            metrics = random_init_control(variant.spec.with_seed(seed), bench)
            rows.append({"control": "random init", "variant": owner, "seed": seed, **metrics})
        rows.append(
            {"control": "raw pixels", "variant": owner, "seed": 0, **raw_pixel_control(variant.spec, bench)}
        )
    if len(done) == 1:
        rows = [{**row, "variant": ""} for row in rows]
    return pd.DataFrame(rows)


def extras(
    campaign: Campaign, statuses: list[CellStatus], environment: Mapping[str, str], command: str
) -> ReportExtras:
    """What the cache and this machine add to the CSVs: curves, pictures, test predictions."""
    complete = [status for status in statuses if status.state == "COMPLETE"]
    curves: list[dict[str, Any]] = []
    pictures: dict[str, Path] = {}
    correct = {}
    for status in complete:
        folder = Path(str(status.results.get("folder", "")))
        if not (folder / "result.json").is_file():
            continue  # imported from another machine: its numbers are here, its files are not
        cell = (status.cell.variant, status.cell.seed)
        curves += _curves(folder, *cell)
        if (folder / "reconstructions.png").is_file():
            pictures.setdefault(status.cell.variant, folder / "reconstructions.png")
        hits = _correct(campaign, status, folder)
        if hits is not None:
            correct[cell] = hits
    return ReportExtras(
        curves=pd.DataFrame(curves, columns=["variant", "seed", "epoch", "name", "value"])
        if curves
        else None,
        reconstructions=pictures,
        correct=correct,
        environment=environment,
        command=command,
        git=environment.get("git", ""),
    )


def protocols(statuses: Iterable[CellStatus]) -> dict[str, str]:
    """The protocol of each evaluation, as the first complete cell tells it, by metric."""
    for status in statuses:
        known = status.results.get("protocols")
        metrics = status.results.get("metrics")
        if isinstance(known, Mapping) and isinstance(metrics, Mapping):
            return {
                metric: str(known[metric.split(".")[0]])
                for metric in metrics
                if metric.split(".")[0] in known
            }
    return {}


def _curves(folder: Path, variant: str, seed: int) -> list[dict[str, Any]]:
    history = json.loads((folder / "result.json").read_text())["history"]
    return [
        {"variant": variant, "seed": seed, "epoch": epoch, "name": name, "value": value}
        for epoch, metrics in enumerate(history, start=1)
        for name, value in metrics.items()
    ]


def _correct(campaign: Campaign, status: CellStatus, folder: Path) -> np.ndarray | None:
    label = campaign.study.metric.split(".")[0]
    for record_path in folder.glob("*-*.json"):
        record = json.loads(record_path.read_text())
        if record.get("label") == label and record.get("predictions"):
            cell = campaign.cell(status.cell)
            labels = campaign.data_of(cell.spec).test.labels
            return np.asarray(np.load(folder / record["predictions"]) == labels)
    return None


def _control_identity(spec: TrialSpec) -> str:
    tree = spec.to_tree()
    parts = [tree["dataset"], tree["backbone"], tree["evaluations"], spec.training.image_size]
    return json.dumps(parts, sort_keys=True)
