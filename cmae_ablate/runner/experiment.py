"""A study made concrete: data prepared, every cell named, and where all of it lies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cmae_ablate.checkpoint import text_digest
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.database import sqlite_url
from cmae_ablate.errors import UserError
from cmae_ablate.queue import PlannedCell
from cmae_ablate.runner.budget import (
    EPOCHS,
    FLOPS,
    Share,
    apply_budget,
    flops_per_epoch,
    known_seconds,
    seconds_per_epoch,
)
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.choice import Choice
from cmae_ablate.study.controls import control_variants
from cmae_ablate.study.design import POSITIVE, Cell, Variant, cells, reference_label, variants
from cmae_ablate.study.draws import drawn_anew
from cmae_ablate.study.loading import Study
from cmae_ablate.study.search_space import with_settings
from cmae_ablate.study.settings import SpecError
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.tracking import Backend, backend_of

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Places:
    """Where a study's state lies.

    Attributes:
        out: Holds all of it.
        storage: URL of the Optuna storage.
        tracking: Address of what keeps the runs, as `--tracking-uri` has it.
    """

    out: Path
    storage: str
    tracking: str

    @classmethod
    def below(cls, out: Path, storage: str | None = None, tracking: str | None = None) -> Places:
        """The usual places, unless another database is named."""
        root = out.resolve()
        return cls(
            root,
            sqlite_url(root / "optuna.db") if storage is None else storage,
            sqlite_url(root / "mlflow.db") if tracking is None else tracking,
        )

    @property
    def backend(self) -> Backend:
        """What keeps the runs."""
        return backend_of(self.tracking)

    @property
    def cache(self) -> Path:
        """Pretrained weights and evaluations by content, shared by the studies of this `--out`."""
        return self.out / "cache"

    def budget(self, study: Study) -> Path:
        """Where a study of equal time keeps the seconds that were measured."""
        return self.out / study.name / "budget.json"


@dataclass(frozen=True)
class Experiment:
    """A checked study with its data.

    Attributes:
        study: What was asked.
        variants: Rows of the table.
        data: Prepared data by the dataset's resolved options.
        places: Where state lies.
        shares: Each variant's part of the budget; empty where all train equally many epochs, or where
            equal time is not measured yet.
        is_tuning: Whether the variants are the tuning trials of the study's search, each to be given what it
            tries when its cell is claimed.
        notes: What the report says of how the variants came by their settings.
        own_specs: The trials, with seed 0, of cells whose settings are their seed's own, by label and seed.
    """

    study: Study
    variants: list[Variant]
    data: Mapping[str, DataArrays]
    places: Places
    shares: tuple[Share, ...] = ()
    is_tuning: bool = False
    notes: tuple[str, ...] = ()
    own_specs: Mapping[tuple[str, int], TrialSpec] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The study's tables and figures."""
        return self.places.out / self.study.name

    @property
    def reference(self) -> str:
        """Label of the reference variant."""
        return reference_label(self.study)

    def data_of(self, spec: TrialSpec) -> DataArrays:
        """The prepared data of a trial."""
        return self.data[key_of(spec["dataset"])]

    def fingerprint(self, spec: TrialSpec) -> str:
        """The trial's name, by everything that decides its result."""
        return spec.fingerprint(self.data_of(spec).digest)

    def pretraining(self, spec: TrialSpec) -> str:
        """The name of the trial's pretraining in the cache."""
        return spec.pretrain_fingerprint(self.data_of(spec).digest)

    @cached_property
    def cells(self) -> list[Cell]:
        """Every variant with every seed, seed-major."""
        own = self.own_specs
        return [
            replace(cell, variant=replace(cell.variant, spec=own[key])) if key in own else cell
            for cell in cells(self.study, self.variants)
            for key in [(cell.variant.label, cell.seed)]
        ]

    def variants_of(self, seed: int) -> list[Variant]:
        """The variants as a seed of the table trains them."""
        return [
            replace(variant, spec=self.own_specs.get((variant.label, seed), variant.spec))
            for variant in self.variants
        ]

    @cached_property
    def planned(self) -> list[PlannedCell]:
        """The queue's view of the cells."""
        return [self._planned(cell) for cell in self.cells]

    def cell(self, planned: PlannedCell, settings: Mapping[str, Any] | None = None) -> Cell:
        """The cell that the queue handed out, with what it is to try where it is a tuning trial.

        Raises:
            UserError: The settings do not go together.
        """
        cell = self._by_id[planned.id]
        if not settings:
            return cell
        try:
            return replace(
                cell, variant=replace(cell.variant, spec=with_settings(cell.variant.spec, settings))
            )
        except SpecError as error:
            raise UserError(f"{'.'.join(error.path)}: {error.message}; narrow the search's space") from error

    @cached_property
    def _by_id(self) -> dict[str, Cell]:
        return {self._planned(cell).id: cell for cell in self.cells}

    def _planned(self, cell: Cell) -> PlannedCell:
        if cell.variant.control in (None, POSITIVE):
            fingerprint, encoder = self.fingerprint(cell.spec), self.pretraining(cell.spec)
        else:
            untrained = cell.spec.untrained_fingerprint(self.data_of(cell.spec).digest)
            fingerprint, encoder = text_digest(f"{cell.variant.control} {untrained}")[:32], ""
        if self.is_tuning and self.study.search is not None:
            # What a trial of the search tries, and so its encoder, is not known before it is claimed.
            fingerprint, encoder = text_digest(f"{fingerprint} {self.study.search.identity}")[:32], ""
        return PlannedCell(
            id=f"{cell.variant.label}:{cell.seed}:{fingerprint}",
            variant=cell.variant.label,
            seed=cell.seed,
            levels=cell.variant.levels,
            fingerprint=fingerprint,
            planned=cell.seed < self.study.planned_seeds,
            encoder=encoder,
        )


def begin(study: Study, places: Places, progress: Progress, notice: Callable[[str], None]) -> Experiment:
    """Check every variant and prepare their data; `share_budget` comes next.

    Args:
        study: The study.
        places: Where state will lie; nothing is created there yet.
        progress: Told of the preparation as (label, done, total).
        notice: Told of what the user should know.

    Raises:
        UserError: A variant does not resolve, or data are missing or damaged.
    """
    found = variants(study)
    for text in dict.fromkeys(text for variant in found for text in variant.spec.notices):
        notice(text)
    own = drawn_anew(study, found)
    if own:
        found = [replace(variant, spec=own[variant.label, study.first_seed]) for variant in found]
    specs = [*(variant.spec for variant in found), *own.values()]
    choices = {key_of(spec["dataset"]): spec["dataset"] for spec in specs}
    data = {key: choice.prepare(progress, notice) for key, choice in choices.items()}
    return Experiment(study, found, data, places, own_specs=own)


def controls_of(experiment: Experiment) -> Experiment:
    """The controls of a study, in an Optuna study and an MLflow experiment of their own.

    Args:
        experiment: The study, with the winners' settings where it has a search.

    Raises:
        UserError: The study's positive control does not fit.
    """
    study = replace(experiment.study, name=f"{experiment.study.name}/controls", report=(), search=None)
    if study.rule is not None:  # a fixed number, which does not depend on what is found
        first = study.rule.looks.first
        study = replace(study, seeds=first, planned_seeds=first, rule=None)
    seeds = sorted({seed for _, seed in experiment.own_specs})
    if not seeds:
        found = control_variants(experiment.study, experiment.variants)
        return Experiment(study, list(found.variants), experiment.data, experiment.places, notes=found.notes)
    # The positive control is the reference made worse, whose settings are the seed's own.
    by_seed = {seed: control_variants(experiment.study, experiment.variants_of(seed)) for seed in seeds}
    notes = dict.fromkeys(note for each in by_seed.values() for note in each.notes)
    own = {(each.label, seed): each.spec for seed in seeds for each in by_seed[seed].variants}
    kept = [each for each in by_seed[seeds[0]].variants if all((each.label, seed) in own for seed in seeds)]
    return Experiment(study, kept, experiment.data, experiment.places, notes=tuple(notes), own_specs=own)


def check_batch(study: Study, variant: Variant, images: int) -> None:
    """Refuse a batch that the training images do not fill once.

    Raises:
        UserError: They do not.
    """
    batch = variant.spec.training.batch_size
    if batch > images:
        raise UserError(
            f"{study.origin.file}: variant '{variant.label}': training.batch_size {batch} exceeds the "
            f"{images} training images; lower it: --set training.batch_size={max(1, images // 2)}"
        )


def share_budget(experiment: Experiment, runtime: Runtime | None) -> Experiment:
    """Give each variant the epochs that the study's budget leaves it.

    A study of equal time keeps its measurement in `budget.json` of its folder; all workers and every later
    command read it from there. Nothing else is created.

    Args:
        experiment: As begun.
        runtime: Where equal time is measured, if it is not yet; None measures nothing, and leaves the
            experiment as it is where a measurement is missing.

    Raises:
        UserError: A variant cannot be built or run, or the measurement on record is damaged.
    """
    costs = _epoch_costs(experiment, runtime)
    if costs is None:
        return experiment
    shared, shares = apply_budget(experiment.variants, experiment.reference, costs)
    return replace(experiment, variants=shared, shares=shares)


def _epoch_costs(experiment: Experiment, runtime: Runtime | None) -> dict[str, float] | None:
    """What one epoch of each variant costs, in the study's budget; None where nothing is to be shared."""
    budget = experiment.study.budget
    trials = {
        v.label: (v.spec, experiment.data_of(v.spec)) for v in experiment.variants if not v.spec.is_pretrained
    }
    if budget == EPOCHS:
        return None
    if budget == FLOPS:
        from cmae_ablate.training.loop import image_size_of

        return {
            label: flops_per_epoch(spec, image_size_of(spec, data), len(data.train))
            for label, (spec, data) in trials.items()
        }
    record = experiment.places.budget(experiment.study)
    return known_seconds(trials, record) if runtime is None else seconds_per_epoch(trials, runtime, record)


def key_of(choice: Choice) -> str:
    """What names a data set among a study's: its resolved options."""
    return json.dumps(choice.to_tree(), sort_keys=True)
