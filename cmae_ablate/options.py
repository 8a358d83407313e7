"""The options that the study commands share, and the study that they name."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cmae_ablate.campaign import Campaign, Places, begin
from cmae_ablate.progress import preparation
from cmae_ablate.queue import redact
from cmae_ablate.study_file import Study, load


@dataclass(frozen=True)
class Options:
    """The command line's options, as `run`, `plan`, `worker`, `status` and `report` share them.

    Attributes:
        study: The study file.
        scale: Another scale than the study's.
        settings: `--set` texts in order.
        seeds: Another number of seeds.
        workers: Processes; None is one a GPU, or as many as the cores bear.
        device: `auto`, `cpu` or `cuda`.
        out: Holds all state.
        storage: Another Optuna storage than SQLite in `out`.
        tracking: Another MLflow store than SQLite in `out`.
        launcher: Who starts workers.
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

    def load(self) -> Study:
        """Read the study with these options."""
        return load(self.study, scale=self.scale, settings=self.settings, seeds=self.seeds)

    def begin(self, study: Study, console: Console) -> Campaign:
        """Check the study and prepare its data, with a bar."""
        with preparation(console) as progress:
            places = Places.below(self.out, self.storage, self.tracking)
            return begin(
                study, places, progress, lambda text: console.print(f"note: {text}", highlight=False)
            )

    def arguments(self) -> list[str]:
        """The options as the arguments of another command."""
        found = [str(self.study), "--device", self.device, "--out", str(self.out)]
        found += [text for setting in self.settings for text in ("--set", setting)]
        for name, value in {
            "--scale": self.scale,
            "--seeds": self.seeds,
            "--storage": self.storage,
            "--tracking-uri": self.tracking,
        }.items():
            found += [name, str(value)] if value is not None else []
        return found

    @property
    def command(self) -> str:
        """The command line that runs the study with these options, without the passwords of its URLs."""
        return redact(shlex.join(["cmae-ablate", "run", *self.arguments()]))
