"""`plan`: what a study will cost. Nothing is trained here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from cmae_ablate.data.arrays import ExpectedSize, prepare
from cmae_ablate.runner.budget import EPOCHS, TIME, apply_budget, budget_note, flops_per_epoch
from cmae_ablate.runner.experiment import Places, check_batch
from cmae_ablate.runner.launch.local import keep_memory
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.progress import preparation
from cmae_ablate.runner.timing import Speed, Workload, calibrate, estimate
from cmae_ablate.runtime import Runtime, pick_device, set_threads, worker_count
from cmae_ablate.study import design
from cmae_ablate.study.controls import control_variants
from cmae_ablate.study.design import POSITIVE, RAW_PIXELS, Variant
from cmae_ablate.study.loading import Study
from cmae_ablate.study.search import TUNING_SEED
from cmae_ablate.study.search_space import for_tuning, in_words
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training import cost as costs


@dataclass(frozen=True)
class VariantPlan:
    """The cost of one variant, or of one control.

    Attributes:
        variant: The variant or the control.
        size: Its data set's expected size.
        cost: Parameters, FLOPs and memory.
        hours: Of one cell, pretraining and evaluations.
    """

    variant: Variant
    size: ExpectedSize
    cost: costs.Cost
    hours: costs.Estimate

    def cells(self, seeds: int) -> int:
        """How many cells it has."""
        return 1 if self.variant.control == RAW_PIXELS else seeds


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
    controls = control_variants(study, shared)
    for control in controls.variants:
        if control.control == POSITIVE:
            check_batch(study, control, sizes[design.reference_label(study)].train)
    of_data = {_dataset(variant.spec): sizes[variant.label] for variant in variants}
    sizes |= {control.label: of_data[_dataset(control.spec)] for control in controls.variants}
    all_plans = plan_variants(options, [*shared, *controls.variants], study.seeds, sizes, Runtime(device))
    plans, apart = all_plans[: len(shared)], all_plans[len(shared) :]
    console.print(f"[bold]{study.question}[/]  ({study.name}, scale {study.scale})", highlight=False)
    notices = dict.fromkeys(text for variant in variants for text in variant.spec.notices)
    for notice in (*notices, *controls.notes):
        console.print(f"note: {notice}", highlight=False, markup=False)
    _show_setting(plans, console)
    _show_costs(all_plans, study.seeds, design.reference_label(study), console)
    hours = sum(plan.hours.hours * plan.cells(study.seeds) for plan in all_plans)
    cells = len(plans) * study.seeds
    more = sum(plan.cells(study.seeds) for plan in apart)
    tuning = _show_tuning(options, study, plans, sizes, Runtime(device), console) if study.search else 0.0
    console.print(
        f"{cells} cells ({len(plans)} variants x {study.seeds} seeds) and {more} of controls, "
        f"{duration(hours)} of computation"
        f"{f', {duration(hours + tuning)} with the tuning' if tuning else ''}; {plans[0].hours.basis}",
        highlight=False,
    )


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
        experiment = options.begin(study, console) if measured else None
        if experiment is not None and experiment.shares:
            return experiment.variants
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


def _size(spec: TrialSpec, console: Console) -> ExpectedSize:
    dataset = spec["dataset"].build()
    known: ExpectedSize | None = dataset.expected_size()
    if known is not None:
        return known
    # A named source is read: whatever is wrong with it is said now, not at hour zero.
    with preparation(console) as progress:
        data = prepare(
            dataset, progress=progress, notice=lambda text: console.print(f"note: {text}", markup=False)
        )
    held_out = len(data.validation) + len(data.test)
    return ExpectedSize(len(data.train), held_out, data.num_classes, data.image_size, "read from its source")


def plan_variants(
    options: Options,
    variants: Sequence[Variant],
    seeds: int,
    sizes: Mapping[str, ExpectedSize],
    runtime: Runtime,
) -> list[VariantPlan]:
    """Every variant's and control's cost, and its hours at the speed that a moment's work shows."""
    threads = max(variant.spec.training.threads for variant in variants)
    workers = min(options.workers or worker_count(runtime.device, threads), len(variants) * seeds)
    set_threads(threads if runtime.device.type == "cpu" else 1)
    matmul = costs.matmul_speed(runtime)
    work = [_workload(variant, sizes[variant.label]) for variant in variants]
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
    tunings = search.tunings(study.seeds)
    trainings = search.trials * search.seeds * tunings
    timed = plan_variants(options, tuned, trainings, sizes, runtime)
    hours = sum(plan.hours.hours for plan in timed) * trainings
    seeds = f"{search.seeds} seed{'' if search.seeds == 1 else 's'} from {TUNING_SEED} on"
    seeds += f", for each of {study.seeds} seeds of the table" if search.repeat else ""
    console.print(
        f"before them {len(plans) * trainings} trainings to tune "
        f"({len(plans)} variants x {search.trials} trials x {seeds}) for {search.metric} "
        f"over {in_words(search)}: "
        f"{'at most ' if search.prune else ''}{duration(hours)} at the study's own settings",
        highlight=False,
        markup=False,
    )
    return hours


def _workload(variant: Variant, size: ExpectedSize) -> Workload:
    # Classifiers on raw pixels pass nothing through an encoder; like those on features they are left out.
    spec = replace(variant.spec, evaluations={}) if variant.control == RAW_PIXELS else variant.spec
    cost = costs.measure(spec, spec.training.image_size or size.image_size)
    return Workload(spec, size, cost, pretrains=variant.control in (None, POSITIVE))


def _dataset(spec: TrialSpec) -> str:
    return json.dumps(spec["dataset"].to_tree(), sort_keys=True)


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
    for label, choice in {**spec.evaluations, **spec.control_evaluations}.items():
        epochs = f", {choice.epochs} epochs" if choice.epochs else ""
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
        trained = plan.variant.control in (None, POSITIVE)
        table.add_row(
            f"{label} (reference)" if label == reference and not plan.variant.control else label,
            f"0-{plan.cells(seeds) - 1}" if plan.cells(seeds) > 1 else "0",
            *(_costs(plan) if trained else ["-"] * 6),
            duration(plan.hours.hours),
        )
    console.print(table)


def _costs(plan: VariantPlan) -> list[str]:
    """What it trains: epochs, parameters, FLOPs and memory."""
    cost = plan.cost
    return [
        str(plan.variant.spec.training.epochs),
        _count(cost.params_encoder),
        _count(cost.params_decoder),
        _count(sum(cost.params_objectives.values())) if cost.params_objectives else "-",
        f"{cost.flops_image / 1e9:.3g}",
        f"{cost.memory_bytes / 1e9:.2g} GB",
    ]


def _count(number: int) -> str:
    return f"{number / 1e6:.2f} M" if number >= 1e5 else f"{number / 1e3:.1f} k"


def duration(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"
