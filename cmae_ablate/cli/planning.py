"""What a study will cost: parameters, FLOPs, memory and hours of every variant. Nothing is trained here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console

from cmae_ablate.cli.seeds_told import cells_expected
from cmae_ablate.data.arrays import ExpectedSize
from cmae_ablate.runner.budget import EPOCHS, TIME, apply_budget, budget_note
from cmae_ablate.runner.counts import count
from cmae_ablate.runner.experiment import Places, check_batch, key_of
from cmae_ablate.runner.hours import Estimate, Workload, estimate, without_repeats
from cmae_ablate.runner.kept import Kept
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.progress import preparation
from cmae_ablate.runner.reporting import has_state, read_settling
from cmae_ablate.runner.speeds import Machine, speeds
from cmae_ablate.runtime import cpu_workers, device_type
from cmae_ablate.study import design
from cmae_ablate.study.controls import control_variants
from cmae_ablate.study.design import POSITIVE, RAW_PIXELS, Variant
from cmae_ablate.study.loading import Study
from cmae_ablate.study.search import Search
from cmae_ablate.study.search_space import for_tuning
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.terminal import say
from cmae_ablate.training.flops import Cost

if TYPE_CHECKING:
    from cmae_ablate.report.settling import Settling


@dataclass(frozen=True)
class VariantPlan:
    """The cost of one variant, or of one control.

    Attributes:
        variant: The variant or the control.
        size: Its data set's expected size.
        cost: Parameters, FLOPs and memory.
        hours: Of one cell, pretraining and evaluations.
        added: The same without what an earlier variant does for it, as it shares its encoder.
    """

    variant: Variant
    size: ExpectedSize
    cost: Cost
    hours: Estimate
    added: Estimate

    @property
    def shares(self) -> bool:
        """Whether an earlier variant trains its encoder."""
        return self.added.hours < self.hours.hours


@dataclass(frozen=True)
class Tuning:
    """What a search costs beforehand, at most.

    Attributes:
        trainings: How many trainings there are.
        hours: Of all of them, at the study's own settings.
    """

    trainings: int
    hours: float


@dataclass(frozen=True)
class StudyPlan:
    """What a study will cost.

    Attributes:
        study: The study.
        table: Its variants.
        controls: What is trained and evaluated beside them.
        notes: What the user should know.
        tuning: Of a search, what comes first.
        settling: Where seeds are added by a rule, how far its contrasts are; None before any has run.
    """

    study: Study
    table: Sequence[VariantPlan]
    controls: Sequence[VariantPlan]
    notes: tuple[str, ...]
    tuning: Tuning | None
    settling: Settling | None = None

    def cells(self, plan: VariantPlan) -> int:
        """How many cells a variant or a control has; at most, where seeds are added by a rule."""
        control = plan.variant.control
        seeds = self._first_seeds if control else self.study.seeds
        return seeds if design.has_seed(control, redraws=self.study.redraws) else 1

    @property
    def control_cells(self) -> int:
        """Cells of the controls."""
        return sum(map(self.cells, self.controls))

    @property
    def _first_seeds(self) -> int:
        """How many seeds all variants get, and the controls ever have."""
        return self.study.rule.looks.first if self.study.rule else self.study.seeds

    @property
    def first_hours(self) -> float:
        """Of the first seeds and the controls, where seeds are added by a rule; else of all."""
        return self._hours(self._first_seeds)

    @property
    def expected_cells(self) -> int | None:
        """Cells of the table if the noise of the seeds so far stays; None where nothing is known of it."""
        if self.settling is None or self.study.rule is None:
            return None
        return cells_expected(self.settling, self.study.rule)

    def _hours(self, seeds: int) -> float:
        table = sum(plan.added.hours * seeds for plan in self.table)
        return table + sum(plan.added.hours * self.cells(plan) for plan in self.controls)

    @property
    def all(self) -> list[VariantPlan]:
        """Variants and controls."""
        return [*self.table, *self.controls]

    @property
    def hours(self) -> float:
        """Of all cells and controls, without the tuning; at most, where seeds are added by a rule."""
        return self._hours(self.study.seeds)


def plan_study(options: Options, console: Console) -> StudyPlan:
    """Check the study and find every variant's cost; trains nothing, creates nothing in `--out`.

    Raises:
        UserError: The study is wrong.
    """
    study = options.load()
    variants = design.variants(study)
    device = device_type(options.device)
    kept = Kept.of_this_code(lambda text: say(f"note: {text}", console))
    sizes = {variant.label: _size(variant.spec, console) for variant in variants}
    for variant in variants:
        check_batch(study, variant, sizes[variant.label].train)
    shared = _shared(options, study, variants, sizes, kept, console)
    controls = control_variants(study, shared)
    for control in controls.variants:
        if control.control == POSITIVE:
            check_batch(study, control, sizes[design.reference_label(study)].train)
    of_data = {key_of(variant.spec["dataset"]): sizes[variant.label] for variant in variants}
    sizes |= {control.label: of_data[key_of(control.spec["dataset"])] for control in controls.variants}
    plans = plan_variants(options, [*shared, *controls.variants], study.seeds, sizes, device, kept)
    table, apart = plans[: len(shared)], plans[len(shared) :]
    notices = dict.fromkeys(text for variant in variants for text in variant.spec.notices)
    tuning = _tuning(options, study.search, study.seeds, table, sizes, device, kept) if study.search else None
    kept.save()
    return StudyPlan(
        study, table, apart, (*notices, *controls.notes), tuning, _settling(options, study, console)
    )


def _settling(options: Options, study: Study, console: Console) -> Settling | None:
    """How far the contrasts are whose seeds are added by a rule; None where nothing has run."""
    if study.rule is None or not has_state(options):
        return None
    found = read_settling(options.begin(study, console))[1]
    return found if found is not None and any(each.seeds for each in found.contrasts) else None


def _shared(
    options: Options,
    study: Study,
    variants: list[Variant],
    sizes: Mapping[str, ExpectedSize],
    kept: Kept,
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
        say("note: the time is estimated from FLOPs; `run` measures it first", console)
    costs = {
        v.label: _workload(v, sizes[v.label], kept).cost.flops_image * sizes[v.label].train
        for v in variants
        if not v.spec.is_pretrained
    }
    reference = design.reference_label(study)
    shared, shares = apply_budget(variants, reference, costs)
    say(f"note: {budget_note(study.budget, reference, shares)}", console)
    return shared


def _size(spec: TrialSpec, console: Console) -> ExpectedSize:
    known: ExpectedSize | None = spec["dataset"].build().expected_size()
    if known is not None:
        return known
    # A named source is read: whatever is wrong with it is said now, not at hour zero.
    with preparation(console) as progress:
        data = spec["dataset"].prepare(progress, lambda text: say(f"note: {text}", console))
    held_out = len(data.validation) + len(data.test)
    return ExpectedSize(len(data.train), held_out, data.num_classes, data.image_size, "read from its source")


def plan_variants(
    options: Options,
    variants: Sequence[Variant],
    seeds: int,
    sizes: Mapping[str, ExpectedSize],
    device: str,
    kept: Kept,
) -> list[VariantPlan]:
    """Every variant's and control's cost, and its hours at the speed that a moment's work shows.

    Args:
        options: The command line's.
        variants: Variants and controls.
        seeds: How many cells each has.
        sizes: Of their data, by label.
        device: `cpu` or `cuda`.
        kept: What earlier plans have found.
    """
    threads = max(variant.spec.training.threads for variant in variants)
    side_by_side = min(options.workers or cpu_workers(threads), len(variants) * seeds)
    work = [_workload(variant, sizes[variant.label], kept) for variant in variants]
    found, machine = speeds(work, Machine(device, threads, side_by_side if device == "cpu" else 1), kept)
    return [
        VariantPlan(
            variant, item.size, item.cost, estimate(item, speed, machine), estimate(left, speed, machine)
        )
        for variant, item, left, speed in zip(variants, work, without_repeats(work), found, strict=True)
    ]


def _tuning(
    options: Options,
    search: Search,
    seeds: int,
    plans: Sequence[VariantPlan],
    sizes: Mapping[str, ExpectedSize],
    device: str,
    kept: Kept,
) -> Tuning:
    tuned = [replace(plan.variant, spec=for_tuning(plan.variant.spec, search.metric)) for plan in plans]
    trainings = search.trials * search.seeds * search.tunings(seeds)
    timed = plan_variants(options, tuned, trainings, sizes, device, kept)
    return Tuning(len(plans) * trainings, sum(plan.hours.hours for plan in timed) * trainings)


def _workload(variant: Variant, size: ExpectedSize, kept: Kept) -> Workload:
    # Classifiers on raw pixels pass nothing through an encoder, and their features have widths of their own.
    spec = replace(variant.spec, evaluations={}) if variant.control == RAW_PIXELS else variant.spec
    found = count(spec, spec.training.image_size or size.image_size, size.classes, kept)
    pretrains = variant.control in (None, POSITIVE)
    return Workload(spec, size, found.cost, pretrains=pretrains, answers=found.answers)
