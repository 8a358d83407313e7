"""What the rest of the package asks of tracking."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Status = Literal["FINISHED", "FAILED", "KILLED"]
CellKey = tuple[str, int]
"""A variant's label and a seed."""
CellId = tuple[str, int, str]
"""A variant's label, a seed and the cell's fingerprint."""


@dataclass(frozen=True)
class Subject:
    """What a study is about.

    Attributes:
        question: Its question.
        metric: The metric that decides, as `knn.top1`.
        tags: What else its run should say of it.
        parameters: Each variant's own.
    """

    question: str
    metric: str
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes:
        answer: In words; its first line says it all.
        verdicts: Of each variant its effect with its interval, and the verdict, in words.
        files: Page, table and figures.
    """

    answer: str
    verdicts: Mapping[str, tuple[str, str]]
    files: Sequence[Path]


class TrackedCell(Protocol):
    """What tracking must know of a planned cell."""

    @property
    def variant(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...


class CellRun(Protocol):
    """One cell's run. No method ever raises, or waits long, because of the store."""

    def log_metrics(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch's metrics; an epoch that the run already has is not logged twice."""
        ...

    def log_results(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log what the cell ends with after its last epoch: single numbers, where they are no curve's end."""
        ...

    def log_dict(self, content: Mapping[str, object], name: str) -> None:
        """Keep plain data as the JSON file `name`."""
        ...

    def log_artifact(self, path: Path, folder: str) -> None:
        """Keep a copy of a file below `folder`."""
        ...

    def finish(self, status: Status) -> None:
        """End the run."""
        ...


class Tracker(Protocol):
    """Keeps the runs of one study. No method ever raises, or waits long, because of the store."""

    def open_study(self, cells: Iterable[TrackedCell], subject: Subject) -> None:
        """Say which cells the study has now, and what it is about."""
        ...

    def start_cell(
        self, variant: str, seed: int, params: Mapping[str, str], tags: Mapping[str, str]
    ) -> CellRun:
        """The cell's run: a new one, or the one that an interrupted attempt began."""
        ...

    def untold(self, done: Collection[CellId]) -> list[CellId]:
        """Which of these cells have no run that came to its end: an outage held it back; none while away.

        A run that the user deleted is not missed.
        """
        ...

    def settle_cells(self, numbers: Mapping[CellId, Mapping[str, float]]) -> None:
        """Let cells' runs end with the numbers of the table, where these are not what the cells told.

        An evaluation that offers several settings is read at one in all cells, and which one is known when
        all cells are. What a run already ends with is not logged again.

        Args:
            numbers: Metrics by variant, seed and fingerprint.
        """
        ...

    def finish_study(
        self,
        summary: Mapping[str, Mapping[str, float]],
        status: Status = "FINISHED",
        findings: Findings | None = None,
    ) -> None:
        """Give each variant its summary and the study what it found, and end their runs."""
        ...

    def reconcile(
        self, running: Collection[CellKey], complete: Collection[CellKey] = (), *, groups: bool = True
    ) -> None:
        """End every run whose cell is not running.

        `groups` says whether the runs of the study and its variants end too, where nothing runs below them.
        """
        ...

    def address(self) -> str:
        """Where a browser finds the study's runs; empty where they cannot be found."""
        ...

    def remedy(self) -> str:
        """What to do where they will never be found by waiting; empty where there is nothing to do."""
        ...


class Backend(Protocol):
    """A place that keeps runs, as its address names it: all that other rooms know of MLflow.

    Nothing is imported, opened or created by it unless a member says so.
    """

    @property
    def name(self) -> str:
        """What it is called in sentences: `MLflow`."""
        ...

    @property
    def shown(self) -> str:
        """Its address, without passwords."""
        ...

    @property
    def pages(self) -> str:
        """Where a browser finds it while `ui_command` runs, without a slash at its end."""
        ...

    @property
    def is_at_hand(self) -> bool:
        """Whether asking it for `links` costs next to nothing in this process."""
        ...

    @property
    def exists(self) -> bool:
        """Whether there may be runs; where that is not known, there may."""
        ...

    @property
    def database(self) -> Path | None:
        """The SQLite file that several processes write; None where it is none."""
        ...

    def check(self) -> None:
        """Refuse an address that cannot work, before anything is created.

        Raises:
            UserError: It cannot.
        """
        ...

    def load(self) -> None:
        """Import what its trackers need."""
        ...

    def open(self, out: Path, study: str) -> Tracker:
        """The tracker of a study; its place is created where it does not exist.

        Args:
            out: The folder of all state, of which the tracker may take a part.
            study: The study's name.

        Raises:
            UserError: The address cannot work.
        """
        ...

    def ui_command(self) -> str:
        """What to type, or where to go, to look at the runs."""
        ...

    def links(self, study: str, cells: Collection[CellId]) -> dict[CellId, str] | None:
        """The addresses of those cells' runs that it has; None where it does not answer."""
        ...
