"""`plan`: what a study will cost, on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from cmae_ablate.cli.fitting import show_fitting
from cmae_ablate.cli.seeds_told import told_of
from cmae_ablate.report.seed_rule import SeedRule
from cmae_ablate.report.short_labels import ShortLabels
from cmae_ablate.report.wording import BLANK, counted
from cmae_ablate.runner.options import Options
from cmae_ablate.study.design import POSITIVE, RAW_PIXELS
from cmae_ablate.study.search import TUNING_SEED, Search
from cmae_ablate.study.search_space import in_words
from cmae_ablate.terminal import say, say_sentence

if TYPE_CHECKING:
    from cmae_ablate.cli.planning import StudyPlan, Tuning, VariantPlan


def show_plans(options: Options, console: Console) -> None:
    """Print what the study will cost; of one on several data sets each, and all together."""
    plans = [show_plan(part, console) for part in options.parts]
    if len(plans) == 1:
        return
    cells = sum(len(plan.table) * plan.study.seeds for plan in plans)
    controls = sum(plan.control_cells for plan in plans)
    hours = sum(plan.hours + (plan.tuning.hours if plan.tuning else 0.0) for plan in plans)
    say_sentence(
        f"{plans[0].study.group}: {counted(len(plans), 'data set')}, {counted(cells, 'cell')} and "
        f"{controls} of controls, {duration(hours)} of computation in all, one data set after the other",
        console,
    )


def show_plan(options: Options, console: Console) -> StudyPlan:
    """Print what the study will cost on one data set; see `plan_study`."""
    from cmae_ablate.cli.planning import plan_study
    from cmae_ablate.runner.reporting import describe_unread

    plan = plan_study(options, console)
    study = plan.study
    say_sentence(f"{study.question}  ({study.name}, scale {study.scale})", console, style="bold")
    for notice in plan.notes:
        say_sentence(f"note: {notice}", console)
    _show_setting(plan.table, console)
    names = ShortLabels.of(describe_unread(study))
    if names.shortens:
        say(f"variants, {names.legend_title}:", console)
    _show_costs(plan, names, console)
    with_tuning = ""
    if plan.tuning and study.search:
        _show_tuning(plan.tuning, study.search, len(plan.table), study.seeds, console)
        with_tuning = f", {duration(plan.hours + plan.tuning.hours)} with the tuning"
    if study.rule is not None:
        _show_rule(plan, study.rule, console)
        return plan
    say_sentence(
        f"{counted(len(plan.table) * study.seeds, 'cell')} ({counted(len(plan.table), 'variant')} x "
        f"{counted(study.seeds, 'seed')}) and {plan.control_cells} of controls, "
        f"{duration(plan.hours)} of computation{with_tuning}; {_basis(plan)}",
        console,
    )
    return plan


def _basis(plan: StudyPlan) -> str:
    """What the hours rest on, and what they leave out."""
    has_pixels = any(each.variant.control == RAW_PIXELS for each in plan.all)
    return plan.table[0].hours.basis + ("; raw pixels are not timed" if has_pixels else "")


def _show_rule(plan: StudyPlan, rule: SeedRule, console: Console) -> None:
    """What the first seeds cost, what all may, and what the noise seen so far asks for."""
    variants, looks = len(plan.table), rule.looks
    say_sentence(
        f"{variants * looks.first} cells at first ({variants} variants x {looks.first} seeds) and "
        f"{plan.control_cells} of controls, {duration(plan.first_hours)} of computation; at most "
        f"{variants * looks.most} cells ({looks.most} seeds), {duration(plan.hours)}; "
        f"{_basis(plan)}",
        console,
    )
    if plan.settling is None or plan.expected_cells is None:
        say_sentence(
            f"seeds by rule: {rule.words}; once the first have run, `plan` and `status` say what their noise "
            "asks for",
            console,
        )
        return
    for line in told_of(plan.settling, rule):
        say_sentence(line, console)
    say_sentence(
        f"{plan.expected_cells} cells are expected in all if the noise stays as it is, at most "
        f"{variants * looks.most}",
        console,
    )


def _show_tuning(
    tuning: Tuning, search: Search, variants: int, seeds_of_table: int, console: Console
) -> None:
    seeds = f"{counted(search.seeds, 'seed')} from {TUNING_SEED} on"
    seeds += f", for each of {counted(seeds_of_table, 'seed')} of the table" if search.repeat else ""
    say_sentence(
        f"before them {counted(tuning.trainings, 'training')} to tune "
        f"({counted(variants, 'variant')} x {counted(search.trials, 'trial')} x {seeds}) for {search.metric} "
        f"over {in_words(search)}: "
        f"{'at most ' if search.prune else ''}{duration(tuning.hours)} at the study's own settings",
        console,
    )


def _show_setting(plans: Sequence[VariantPlan], console: Console) -> None:
    spec, size = plans[0].variant.spec, plans[0].size
    training = spec.training
    options = spec["backbone"].options
    backbone = ", ".join(f"{name} {value}" for name, value in options.items())
    say_sentence(
        f"data: {spec['dataset'].name}, {size.train:,} training images, {size.classes} classes, "
        f"at {training.image_size or size.image_size} pixels ({size.basis})",
        console,
    )
    say_sentence(f"backbone: {spec['backbone'].name} ({backbone})", console)
    warmup = f"{training.warmup_epochs:g} epoch{'' if training.warmup_epochs == 1 else 's'}"
    say_sentence(
        f"pretraining: {counted(training.epochs, 'epoch')}, batch {training.batch_size}, base learning rate "
        f"{training.base_lr:g}, warm-up {warmup}, "
        f"{training.precision}",
        console,
    )
    for label, choice in {**spec.evaluations, **spec.control_evaluations}.items():
        epochs = f", {counted(choice.epochs, 'epoch')}" if choice.epochs else ""
        say(f"evaluation: {label} ({choice.name}{epochs})", console)


def _show_costs(found: StudyPlan, names: ShortLabels, console: Console) -> None:
    costs = ("epochs", "encoder", "decoder", "objectives", "GFLOP / image", "memory / cell")
    rows = []
    for plan in found.all:
        label, is_control = plan.variant.label, plan.variant.control
        cells = found.cells(plan)
        is_reference = label == names.reference and not is_control
        shown = label if is_control else names.alone(label)
        trained = is_control in (None, POSITIVE)
        rows.append(
            [
                f"{shown} (reference)" if is_reference else shown,
                f"0-{cells - 1}" if cells > 1 else "0",
                *(_costs(plan) if trained else [BLANK] * len(costs)),
                duration(plan.hours.hours) if is_control != RAW_PIXELS else BLANK,
            ]
        )
    show_fitting(("variant", "seeds", *costs, "time / cell"), rows, console)
    if shared := [names.alone(plan.variant.label) for plan in found.table if plan.shares]:
        say_sentence(
            f"{', '.join(shared)}: with the encoder of a variant above, whose training is counted once below",
            console,
        )


def _costs(plan: VariantPlan) -> list[str]:
    """What it trains: epochs, parameters, FLOPs and memory."""
    cost = plan.cost
    return [
        str(plan.variant.spec.training.epochs),
        _count(cost.params_encoder),
        _count(cost.params_decoder),
        _count(sum(cost.params_objectives.values())) if cost.params_objectives else BLANK,
        f"{cost.flops_image / 1e9:.3g}",
        f"{cost.memory_bytes / 1e9:.2g} GB",
    ]


def _count(number: int) -> str:
    return f"{number / 1e6:.2f} M" if number >= 1e5 else f"{number / 1e3:.1f} k"


def duration(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"
