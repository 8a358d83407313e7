"""A study made concrete: data prepared, every cell named, and where all of it lies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cmae_ablate.arrays import DataArrays, prepare
from cmae_ablate.budget import (
    EPOCHS,
    FLOPS,
    Share,
    apply_budget,
    budget_note,
    flops_per_epoch,
    seconds_per_epoch,
)
from cmae_ablate.checkpoint import text_digest
from cmae_ablate.design import Cell, Variant, cells, reference_label, variants
from cmae_ablate.errors import UserError
from cmae_ablate.queue import PlannedCell
from cmae_ablate.runtime import Runtime, pick_device
from cmae_ablate.settings import SpecError
from cmae_ablate.space import with_settings
from cmae_ablate.spec import Choice, TrialSpec
from cmae_ablate.study_file import Study

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Places:
    """Where a study's state lies.

    Attributes:
        out: Holds all of it.
        storage: URL of the Optuna storage.
        tracking: URI of the MLflow store.
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
            storage or f"sqlite:///{root / 'optuna.db'}",
            tracking or f"sqlite:///{root / 'mlflow.db'}",
        )

    @property
    def cache(self) -> Path:
        """Pretrained weights and evaluations by content, shared by the studies of this `--out`."""
        return self.out / "cache"


@dataclass(frozen=True)
class Campaign:
    """A checked study with its data.

    Attributes:
        study: What was asked.
        variants: Rows of the table.
        data: Prepared data by the dataset's resolved options.
        places: Where state lies.
        shares: Each variant's part of the budget; empty where all train equally many epochs.
        is_tuning: Whether the variants are the tuning trials of the study's search, each to be given what it
            tries when its cell is claimed.
        notes: What the report says of how the variants came by their settings.
    """

    study: Study
    variants: list[Variant]
    data: Mapping[str, DataArrays]
    places: Places
    shares: tuple[Share, ...] = ()
    is_tuning: bool = False
    notes: tuple[str, ...] = ()

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
        return self.data[_key(spec["dataset"])]

    def fingerprint(self, spec: TrialSpec) -> str:
        """The trial's name, by everything that decides its result."""
        return spec.fingerprint(self.data_of(spec).digest)

    @cached_property
    def planned(self) -> list[PlannedCell]:
        """The queue's view of the cells, seed-major."""
        return [self._planned(cell) for cell in cells(self.study, self.variants)]

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
        return {self._planned(cell).id: cell for cell in cells(self.study, self.variants)}

    def _planned(self, cell: Cell) -> PlannedCell:
        fingerprint = self.fingerprint(cell.spec)
        if self.is_tuning and self.study.search is not None:
            fingerprint = text_digest(f"{fingerprint} {self.study.search.identity}")[:32]
        return PlannedCell(
            id=f"{cell.variant.label}:{cell.seed}:{fingerprint}",
            variant=cell.variant.label,
            seed=cell.seed,
            levels=cell.variant.levels,
            fingerprint=fingerprint,
            planned=cell.seed < self.study.planned_seeds,
        )


def begin(
    study: Study,
    places: Places,
    progress: Progress,
    notice: Callable[[str], None],
    device: str = "auto",
) -> Campaign:
    """Check every variant, prepare their data, and share out the budget.

    Args:
        study: The study.
        places: Where state will lie; nothing is created there yet, except that a study of equal time keeps
            its measurement in `budget.json`.
        progress: Told of the preparation as (label, done, total).
        notice: Told of what the user should know.
        device: Where a study of equal time is measured: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: A variant does not resolve, or data are missing or damaged.
    """
    found = variants(study)
    for text in dict.fromkeys(text for variant in found for text in variant.spec.notices):
        notice(text)
    choices = {_key(variant.spec["dataset"]): variant.spec["dataset"] for variant in found}
    data = {key: prepare(choice.build(), progress=progress, notice=notice) for key, choice in choices.items()}
    campaign = Campaign(study, found, data, places)
    if study.budget == EPOCHS:
        return campaign
    rescaled, shares = apply_budget(found, campaign.reference, _epoch_costs(campaign, device))
    notice(budget_note(study.budget, campaign.reference, shares))
    return Campaign(study, rescaled, data, places, shares)


def _epoch_costs(campaign: Campaign, device: str) -> dict[str, float]:
    """What one epoch of each variant costs, in the study's budget."""
    trials = {v.label: (v.spec, campaign.data_of(v.spec)) for v in campaign.variants}
    if campaign.study.budget == FLOPS:
        return {label: flops_per_epoch(*trial) for label, trial in trials.items()}
    return seconds_per_epoch(trials, Runtime(pick_device(device)), campaign.folder / "budget.json")


def _key(choice: Choice) -> str:
    return json.dumps(choice.to_tree(), sort_keys=True)
