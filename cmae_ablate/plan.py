"""`plan` and `status`: what a study will cost, and where it stands. Nothing is trained here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from cmae_ablate import cost as costs
from cmae_ablate import design
from cmae_ablate.arrays import ExpectedSize, prepare
from cmae_ablate.budget import EPOCHS, TIME, apply_budget, budget_note, flops_per_epoch
from cmae_ablate.calibration import Speed, Workload, calibrate, estimate
from cmae_ablate.campaign import Campaign, Places, check_batch
from cmae_ablate.design import Variant
from cmae_ablate.housekeeping import cache_line
from cmae_ablate.launch.local import keep_memory
from cmae_ablate.options import Options
from cmae_ablate.progress import preparation
from cmae_ablate.queue import CellStatus
from cmae_ablate.runtime import Runtime, pick_device, set_threads, worker_count
from cmae_ablate.search_keys import TUNING_SEED, Search
from cmae_ablate.space import for_tuning, in_words
from cmae_ablate.spec import TrialSpec
from cmae_ablate.study_file import Study
from cmae_ablate.tuning import frozen, tuning_of, winners


@dataclass(frozen=True)
class VariantPlan:
    """One variant's cost.

    Attributes:
        variant: The variant.
        size: Its data set's expected size.
        cost: Parameters, FLOPs and memory.
        hours: Of one cell, pretraining and evaluations.
    """

    variant: Variant
    size: ExpectedSize
    cost: costs.Cost
    hours: costs.Estimate


def show_plan(options: Options, console: Console) -> None:
    """Check the study and print every variant's cost; trains nothing, creates nothing in `--out`.

    Raises:
        UserError: The study is wrong.
    """
    study = options.load()
    variants = design.variants(study)
    device = pick_device(options.device)
    keep_memory()
    sizes = {variant.label: _size(variant.spec, console) for variant in variants}
    for variant in variants:
        check_batch(study, variant, sizes[variant.label].train)
    shared = _shared(options, study, variants, sizes, console)
    plans = plan_variants(options, shared, study.seeds, sizes, Runtime(device))
    console.print(f"[bold]{study.question}[/]  ({study.name}, scale {study.scale})", highlight=False)
    for notice in dict.fromkeys(text for variant in variants for text in variant.spec.notices):
        console.print(f"note: {notice}", highlight=False, markup=False)
    _show_setting(plans, console)
    _show_costs(plans, study.seeds, design.reference_label(study), console)
    hours = sum(plan.hours.hours for plan in plans) * study.seeds
    cells = len(plans) * study.seeds
    tuning = _show_tuning(options, study, plans, sizes, Runtime(device), console) if study.search else 0.0
    console.print(
        f"{cells} cells ({len(plans)} variants x {study.seeds} seeds), {_duration(hours)} of computation"
        f"{f', {_duration(hours + tuning)} with the tuning' if tuning else ''}; {plans[0].hours.basis}",
        highlight=False,
    )


def show_status(options: Options, console: Console) -> None:
    """Print where each cell stands, with log and failures, and the space that the cache takes."""
    from cmae_ablate.reporting import open_queue

    study = options.load()
    design.variants(study)
    places = Places.below(options.out, options.storage, options.tracking)
    if places.storage.startswith("sqlite:///") and not os.path.exists(
        places.storage.removeprefix("sqlite:///")
    ):
        console.print(f"{study.name}: nothing has run yet in {places.out}", highlight=False)
        return
    campaign = options.begin(study, console)
    if study.search is not None:
        found = _show_search(campaign, study.search, console)
        if found is None:
            return
        campaign = found
    statuses = open_queue(campaign).status()
    _show_cells(statuses, study.metric, console)
    done = [status for status in statuses if status.state == "COMPLETE"]
    reused = sum(bool(status.results.get("reused")) for status in done)
    console.print(
        f"{len(done)} of {len(statuses)} cells complete, {reused} with reused pretraining",
        highlight=False,
        soft_wrap=True,
    )
    console.print(cache_line(campaign.places.out, study.name), highlight=False, soft_wrap=True)
    console.print(_time_left(statuses), highlight=False)


def _shared(
    options: Options,
    study: Study,
    variants: list[Variant],
    sizes: Mapping[str, ExpectedSize],
    console: Console,
) -> list[Variant]:
    """The variants with the epochs that the budget leaves them; equal time only as far as it was measured."""
    if study.budget == EPOCHS:
        return variants
    if study.budget == TIME:
        # Where seconds were measured the data are prepared, too.
        measured = Places.below(options.out).budget(study).is_file()
        campaign = options.begin(study, console) if measured else None
        if campaign is not None and campaign.shares:
            return campaign.variants
        console.print("note: the time is estimated from FLOPs; `run` measures it first", highlight=False)
    costs = {
        v.label: flops_per_epoch(
            v.spec, v.spec.training.image_size or sizes[v.label].image_size, sizes[v.label].train
        )
        for v in variants
        if not v.spec.is_pretrained
    }
    reference = design.reference_label(study)
    shared, shares = apply_budget(variants, reference, costs)
    console.print(f"note: {budget_note(study.budget, reference, shares)}", highlight=False, markup=False)
    return shared


def _show_search(campaign: Campaign, search: Search, console: Console) -> Campaign | None:
    """Print where each tuning trial stands; the study with its winners, once there are any."""
    from cmae_ablate.reporting import open_queue

    trials = open_queue(tuning_of(campaign)).status()
    _show_cells(trials, search.metric, console)
    done = sum(status.is_done for status in trials)
    pruned = sum(status.state == "PRUNED" for status in trials)
    console.print(f"{done} of {len(trials)} tuning trials done, {pruned} of them pruned", highlight=False)
    won = winners(campaign, trials)
    if won is None:
        console.print(f"{_time_left(trials)}; the table's cells come after the winners", highlight=False)
        return None
    found = frozen(campaign, won)
    console.print(f"search: {found.notes[0]}", highlight=False, markup=False)
    return found


def _show_cells(statuses: Sequence[CellStatus], metric: str, console: Console) -> None:
    table = Table("variant", "seed", "state", metric, "attempts", "worker", "last sign", "log or reason")
    for status in statuses:
        table.add_row(*_status_row(status))
    console.print(table)


def _size(spec: TrialSpec, console: Console) -> ExpectedSize:
    dataset = spec["dataset"].build()
    known: ExpectedSize | None = dataset.expected_size()
    if known is not None:
        return known
    # A named source is read: whatever is wrong with it is said now, not at hour zero.
    with preparation(console) as progress:
        data = prepare(dataset, progress=progress, notice=lambda text: console.print(f"note: {text}"))
    held_out = len(data.validation) + len(data.test)
    return ExpectedSize(len(data.train), held_out, data.num_classes, data.image_size, "read from its source")


def plan_variants(
    options: Options,
    variants: Sequence[Variant],
    seeds: int,
    sizes: Mapping[str, ExpectedSize],
    runtime: Runtime,
) -> list[VariantPlan]:
    """Every variant's cost, and its hours at the speed that a moment's work shows."""
    threads = max(variant.spec.training.threads for variant in variants)
    workers = min(options.workers or worker_count(runtime.device, threads), len(variants) * seeds)
    set_threads(threads if runtime.device.type == "cpu" else 1)
    matmul = costs.matmul_speed(runtime)
    work = [_workload(variant.spec, sizes[variant.label]) for variant in variants]
    counted = f"{threads} thread{'' if threads == 1 else 's'} a cell"
    machine = f"this {runtime.device.type} with {counted}, {matmul / 1e9:,.0f} GFLOP/s at best"
    speeds: list[Speed] = calibrate(work, matmul, runtime, workers if runtime.device.type == "cpu" else 1)
    return [
        VariantPlan(variant, item.size, item.cost, estimate(item, speed, machine))
        for variant, item, speed in zip(variants, work, speeds, strict=True)
    ]


def _show_tuning(
    options: Options,
    study: Study,
    plans: Sequence[VariantPlan],
    sizes: Mapping[str, ExpectedSize],
    runtime: Runtime,
    console: Console,
) -> float:
    """Say what the search costs at most; the hours."""
    search = study.search
    assert search is not None
    tuned = [replace(plan.variant, spec=for_tuning(plan.variant.spec, search.metric)) for plan in plans]
    timed = plan_variants(options, tuned, search.trials, sizes, runtime)
    hours = sum(plan.hours.hours for plan in timed) * search.trials
    console.print(
        f"before them {len(plans) * search.trials} tuning trials "
        f"({len(plans)} variants x {search.trials} trials, seed {TUNING_SEED}) for {search.metric} "
        f"over {in_words(search)}: "
        f"{'at most ' if search.prune else ''}{_duration(hours)} at the study's own settings",
        highlight=False,
        markup=False,
    )
    return hours


def _workload(spec: TrialSpec, size: ExpectedSize) -> Workload:
    return Workload(spec, size, costs.measure(spec, spec.training.image_size or size.image_size))


def _show_setting(plans: Sequence[VariantPlan], console: Console) -> None:
    spec, size = plans[0].variant.spec, plans[0].size
    training = spec.training
    options = spec["backbone"].options
    backbone = ", ".join(f"{name} {value}" for name, value in options.items())
    console.print(
        f"data: {spec['dataset'].name}, {size.train:,} training images, {size.classes} classes, "
        f"at {training.image_size or size.image_size} pixels ({size.basis})",
        highlight=False,
    )
    console.print(f"backbone: {spec['backbone'].name} ({backbone})", highlight=False)
    console.print(
        f"pretraining: {training.epochs} epochs, batch {training.batch_size}, base learning rate "
        f"{training.base_lr:g}, warm-up {training.warmup_epochs:g} epochs, {training.precision}",
        highlight=False,
    )
    for label, choice in spec.evaluations.items():
        epochs = f", {choice.options['epochs']} epochs" if "epochs" in choice.options else ""
        console.print(f"evaluation: {label} ({choice.name}{epochs})", highlight=False)


def _show_costs(plans: Sequence[VariantPlan], seeds: int, reference: str, console: Console) -> None:
    table = Table(
        "variant",
        "seeds",
        "epochs",
        "encoder",
        "decoder",
        "objectives",
        "GFLOP / image",
        "memory / cell",
        "hours / cell",
    )
    for plan in plans:
        label = plan.variant.label
        table.add_row(
            f"{label} (reference)" if label == reference else label,
            f"0-{seeds - 1}" if seeds > 1 else "0",
            str(plan.variant.spec.training.epochs),
            _count(plan.cost.params_encoder),
            _count(plan.cost.params_decoder),
            _count(sum(plan.cost.params_objectives.values())) if plan.cost.params_objectives else "-",
            f"{plan.cost.flops_image / 1e9:.3g}",
            f"{plan.cost.memory_bytes / 1e9:.2g} GB",
            _duration(plan.hours.hours),
        )
    console.print(table)


def _status_row(status: CellStatus) -> list[str]:
    return [
        status.cell.variant,
        str(status.cell.seed),
        status.state.lower(),
        "" if status.value is None else f"{status.value:.2f}",
        str(status.attempts),
        status.worker or "",
        "" if status.lease_age is None else f"{status.lease_age:.0f} s ago",
        " ".join(part for part in (status.reason, status.log) if part),
    ]


def _time_left(statuses: Sequence[CellStatus]) -> str:
    seconds = [_seconds(status) for status in statuses if status.state == "COMPLETE"]
    left = sum(status.state in {"RUNNING", "WAITING"} for status in statuses)
    if not left:
        return "nothing is left to train"
    if not seconds:
        return f"{left} cells left; the first finished cell will tell how long they take"
    return f"{left} cells left, about {_duration(left * sum(seconds) / len(seconds) / 3600)} of pretraining"


def _seconds(status: CellStatus) -> float:
    metrics = status.results.get("metrics")
    value = metrics.get("seconds.pretrain", 0.0) if isinstance(metrics, dict) else 0.0
    return float(value) if isinstance(value, int | float) else 0.0


def _count(number: int) -> str:
    return f"{number / 1e6:.2f} M" if number >= 1e5 else f"{number / 1e3:.1f} k"


def _duration(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"
