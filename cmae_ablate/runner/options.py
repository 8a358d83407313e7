"""The options that the study commands share, and the study that they name.

Nothing heavy is imported here before `check` has found the study free of mistakes.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cmae_ablate.errors import UserError
from cmae_ablate.runner.launch import WHOLE_GPU
from cmae_ablate.runner.watchdog import STALL_MINUTES
from cmae_ablate.study import design
from cmae_ablate.study.controls import control_variants
from cmae_ablate.study.data_sets import labels_of
from cmae_ablate.study.finding import typed
from cmae_ablate.study.loading import Study, load
from cmae_ablate.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from cmae_ablate.runner.experiment import Experiment


@dataclass(frozen=True)
class Options:
    """The command line's options, as `run`, `plan`, `worker`, `status` and `report` share them.

    Attributes:
        study: The study file.
        scale: Another scale than the study's.
        settings: `--set` texts in order.
        seeds: Another number of seeds.
        dataset: Of a study on several data sets: the label of the one that is meant; None is all.
        workers: Processes; None is one a GPU, or as many as the cores bear.
        device: `auto`, `cpu` or `cuda`.
        out: Holds all state.
        storage: Another Optuna storage than SQLite in `out`.
        tracking: Where runs are kept, if not in MLflow's SQLite in `out`.
        launcher: Who starts workers.
        slurm: `--slurm` texts in order: options of sbatch.
        no_wait: Whether Slurm's workers are left to themselves once they are submitted.
        gpus_per_worker: What a Ray worker takes of the cluster's GPUs, where it trains on one.
        stall_minutes: Without a step, before a cell is named.
    """

    study: Path
    scale: str | None = None
    settings: tuple[str, ...] = ()
    seeds: int | None = None
    workers: int | None = None
    device: str = "auto"
    out: Path = Path("runs")
    storage: str | None = None
    tracking: str | None = None
    launcher: str = "local"
    slurm: tuple[str, ...] = ()
    no_wait: bool = False
    gpus_per_worker: float = WHOLE_GPU
    stall_minutes: float = STALL_MINUTES
    dataset: str | None = None

    @cached_property
    def parts(self) -> tuple[Options, ...]:
        """The study on each of its data sets; these options themselves where there is one."""
        labels = () if self.dataset is not None else labels_of(self.study)
        return tuple(replace(self, dataset=label) for label in labels) or (self,)

    def alone(self, what: str) -> Options:
        """These options, where the study has one data set or one is named.

        Args:
            what: The option that is meant for one.

        Raises:
            UserError: It has several, and none is named.
        """
        if len(self.parts) > 1:
            label = self.parts[0].dataset
            raise UserError(
                f"{what}: this study has several data sets; say which is meant, as in --dataset {label}"
            )
        return self

    @property
    def name(self) -> str:
        """What the study's folder in `out` is called: over several data sets, that of its pooled page."""
        return self.load().name if len(self.parts) == 1 else self.parts[0].load().group

    @property
    def patience(self) -> float:
        """Seconds without a step, before a cell is named."""
        return 60 * self.stall_minutes

    @property
    def device_here(self) -> str:
        """Where this command computes itself: Slurm's login nodes need no GPU."""
        return "auto" if self.launcher == "slurm" else self.device

    def load(self) -> Study:
        """The study with these options; the file is read once."""
        return self._study

    def check(self) -> None:
        """Say what is wrong with the study, any of its variants, its positive control or where runs are kept.

        Raises:
            UserError: Something is.
        """
        if self.tracking is not None:
            from cmae_ablate.tracking import backend_of

            backend_of(self.tracking).check()
        for part in self.parts:
            control_variants(part.load(), design.variants(part.load()))

    def begin(
        self,
        study: Study,
        console: Console,
        *,
        measure: bool = False,
        check: Callable[[Experiment], None] = lambda experiment: None,
    ) -> Experiment:
        """Check the study, prepare its data, with a bar, and share out its budget.

        Args:
            study: The study.
            console: Where to say things.
            measure: Whether a study of equal time may be measured now, if it is not yet: only by commands
                that train.
            check: What else is to be checked before anything is measured.
        """
        from cmae_ablate.runner.budget import EPOCHS, TIME, budget_note
        from cmae_ablate.runner.experiment import Places, begin, share_budget
        from cmae_ablate.runner.progress import preparation
        from cmae_ablate.runtime import Runtime, pick_device

        def note(text: str) -> None:
            say(f"note: {text}", console)

        with preparation(console) as progress:
            places = Places.below(self.out, self.storage, self.tracking)
            experiment = begin(study, places, progress, note)
        check(experiment)
        if study.budget == TIME and measure and not places.budget(study).is_file():
            note("equal time: a few steps of each variant are timed first; leave the machine alone meanwhile")
        experiment = share_budget(experiment, Runtime(pick_device(self.device_here)) if measure else None)
        if study.budget != EPOCHS:
            note(budget_note(study.budget, experiment.reference, experiment.shares))
        return experiment

    def arguments(self) -> list[str]:
        """The options as the arguments of another command, without what `environment` has."""
        found = [str(self.study), "--device", self.device, "--out", str(self.out)]
        found += [text for setting in self.settings for text in ("--set", setting)]
        named = {"--scale": self.scale, "--seeds": self.seeds, "--dataset": self.dataset}
        for name, value in named.items():
            found += [name, str(value)] if value is not None else []
        return found

    def environment(self) -> dict[str, str]:
        """What decides no result, as environment variables; every user of a machine may read arguments."""
        found = {"CMAE_ABLATE_STORAGE": self.storage, "CMAE_ABLATE_TRACKING_URI": self.tracking}
        found["CMAE_ABLATE_STALL_MINUTES"] = str(self.stall_minutes)
        return {name: text for name, text in found.items() if text is not None}

    @property
    def command(self) -> str:
        """The command line that runs the study with these options, without the passwords of its URLs."""
        return self.command_line("run")

    def command_line(self, command: str) -> str:
        """The line of a command with these options, without the passwords of their URLs."""
        from cmae_ablate.queue import redact
        from cmae_ablate.tracking import backend_of

        shown = ["--storage", redact(self.storage)] if self.storage is not None else []
        if self.tracking is not None:
            shown += ["--tracking-uri", backend_of(self.tracking).shown]
        return shlex.join(["cmae-ablate", command, typed(self.study), *self.arguments()[1:], *shown])

    @cached_property
    def _study(self) -> Study:
        return load(
            self.study, scale=self.scale, settings=self.settings, seeds=self.seeds, dataset=self.dataset
        )
