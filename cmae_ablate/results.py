"""What a study has found so far, as the frames and the description that a report is made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cmae_ablate.budget import Share, budget_note
from cmae_ablate.campaign import Campaign
from cmae_ablate.design import Variant
from cmae_ablate.queue import CellStatus
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.runtime import Runtime
from cmae_ablate.spec import TrialSpec
from cmae_ablate.study_file import Study
from cmae_ablate.trial import Bench, random_init_control, raw_pixel_control
from cmae_ablate.tuning import tuning_note


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
        row |= {"device": results.get("device", ""), "fingerprint": status.cell.fingerprint}
        row |= {"weights_sha256": results.get("weights_sha256", "")}
        rows.append(row)
    frame = pd.DataFrame(rows)
    last = ["device", "fingerprint", "weights_sha256"]
    return frame[[column for column in frame if column not in last] + last]


def describe(
    study: Study,
    variants: Mapping[str, Mapping[str, str]],
    reference: str,
    statuses: Iterable[CellStatus] = (),
    shares: Sequence[Share] = (),
    tuned: Sequence[str] = (),
) -> StudyDescription:
    """The study in the report's words.

    Args:
        study: The study.
        variants: Level labels by factor, by variant, in table order.
        reference: Label of the reference variant.
        statuses: Its cells, if any: they know protocols, and fingerprints to compare a CSV's with.
        shares: Each variant's part of a budget other than equal epochs, where it is known.
        tuned: How a search chose each variant's settings, where it is known.
    """
    known = list(statuses)
    if study.search is not None and not tuned:
        tuned = (tuning_note(study.search),)
    note = budget_note(study.budget, reference, shares)
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
        notes=(note, *tuned),
        budget=study.budget,
        budget_note=note,
        protocols=protocols(known),
        fingerprints={(status.cell.variant, status.cell.seed): status.cell.fingerprint for status in known},
        asked=study.seeds if study.seeds < study.planned_seeds else None,
    )


def controls_frame(campaign: Campaign, runtime: Runtime, statuses: Iterable[CellStatus]) -> pd.DataFrame:
    """`controls.csv`: random-init encoders and raw pixels through the same evaluations, and from scratch.

    The last only where the study asks for the evaluation `from_scratch`, which needs labels and trains. It is
    run with each cell, yet says nothing of the pretraining: so it stands among the controls, where its top-1
    is set against the fine-tuned one.

    Args:
        campaign: The study.
        runtime: Where to evaluate.
        statuses: Its cells, which know what training from scratch gave.
    """
    scratch = _from_scratch(campaign, statuses)
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
        rows += [
            {"control": "from scratch", "variant": owner, "seed": seed, **metrics}
            for seed, metrics in scratch.get(identity, {}).items()
        ]
    if len(done) == 1:
        rows = [{**row, "variant": ""} for row in rows]
    return pd.DataFrame(rows)


def dataset_of(variants: Sequence[Variant]) -> str:
    """What the variants are trained on, in a word or two: `scenes`, `folder flowers`."""
    found = []
    for variant in variants:
        choice = variant.spec["dataset"]
        source = choice.options.get("source")
        # Official data sets are known by name; what a folder holds only its own name can say.
        found.append(
            f"folder {Path(str(source)).name}" if choice.name == "folder" and source else choice.name
        )
    return ", ".join(dict.fromkeys(found))


def setting_of(variants: Sequence[Variant]) -> str:
    """Backbone, epochs and batch in one line; of the first variant, the rest is in the study's own report."""
    spec = variants[0].spec
    backbone = ", ".join(f"{name} {value}" for name, value in spec["backbone"].options.items())
    epochs = dict.fromkeys(str(variant.spec.training.epochs) for variant in variants)
    return (
        f"backbone {spec['backbone'].name} ({backbone}); {', '.join(epochs)} epochs at batch "
        f"{spec.training.batch_size}"
    )


def roles_of(variants: Sequence[Variant], reference: str) -> dict[str, str]:
    """Which variants are the paper's MAE and CMAE; empty where not both are there.

    MAE is a reference without any further objective, view or augmentation and with the plain crop; CMAE has
    the contrastive and the position objective, ContrastiveCrop, and a decoder shallower than the reference's.
    """
    base = next((v for v in variants if v.label == reference and _is_mae(v.spec)), None)
    if base is None:
        return {}
    found = [v.label for v in variants if _is_cmae(v.spec, base.spec)]
    return {reference: "MAE", found[0]: "CMAE"} if len(found) == 1 else {}


def _is_mae(spec: TrialSpec) -> bool:
    one_weak_view = spec.training.num_views == 1 and not spec["augmentation"].options.get("strong_views")
    return not spec.objectives and spec["crop"].name == "random_resized" and one_weak_view


def _is_cmae(spec: TrialSpec, mae: TrialSpec) -> bool:
    depth, of_mae = (each["decoder"].options.get("depth", 0) for each in (spec, mae))
    has_tasks = {"contrastive", "position"} <= set(spec.objectives)
    return has_tasks and spec["crop"].name == "contrastive" and depth < of_mae


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


def _from_scratch(
    campaign: Campaign, statuses: Iterable[CellStatus]
) -> dict[str, dict[int, dict[str, float]]]:
    """What training from scratch gave, by encoder and seed; every variant with the encoder has the same."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for status in statuses:
        spec, metrics = campaign.cell(status.cell).spec, status.results.get("metrics")
        names = {choice.name: label for label, choice in spec.evaluations.items()}
        if status.state != "COMPLETE" or "from_scratch" not in names or not isinstance(metrics, Mapping):
            continue
        own = f"{names['from_scratch']}."
        row = {str(name): float(str(value)) for name, value in metrics.items() if str(name).startswith(own)}
        if "fine_tune" in names:
            row |= {f"{names['fine_tune']}.{name.removeprefix(own)}": row[name] for name in list(row)}
        found.setdefault(_control_identity(spec), {}).setdefault(status.cell.seed, row)
    return found


def _control_identity(spec: TrialSpec) -> str:
    tree = spec.to_tree()
    parts = [tree["dataset"], tree["backbone"], tree["evaluations"], spec.training.image_size]
    return json.dumps(parts, sort_keys=True)
