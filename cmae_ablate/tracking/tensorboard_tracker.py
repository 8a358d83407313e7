"""Tracking in TensorBoard's event files: DIR/STUDY/VARIANT/'seed N FINGERPRINT'.

Event files only grow. So what may change later (a cell's results, a variant's means, the answer) has files of
its own, which are written anew. Their numbers are in single precision; whole ones stand in `trials.csv`.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cmae_ablate.database import cause_of
from cmae_ablate.report.selection import is_candidate
from cmae_ablate.tracking.event_files import Point, append, new_file, number, read, replace, text
from cmae_ablate.tracking.run_writer import metric_name
from cmae_ablate.tracking.tensorboard_folders import cell_folder, run_name
from cmae_ablate.tracking.tracker import CellId, CellKey, Findings, Status, Subject, TrackedCell

LOGGER = logging.getLogger(__name__)


class TensorBoardTracker:
    """A `Tracker`: a study's event files, with whatever goes wrong with them.

    Args:
        folder: Of the study.
        address: Where a browser finds its runs.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self._folder, self._address = folder, address
        self._is_away = False
        self.failures = 0

    def open_study(self, cells: Iterable[TrackedCell], subject: Subject) -> None:
        with self.border():
            replace(self._folder, "study", [text("study", {"question": subject.question, **subject.tags})])

    def start_cell(
        self, variant: str, seed: int, params: Mapping[str, str], tags: Mapping[str, str]
    ) -> TensorBoardRun:
        folder = cell_folder(self._folder, (variant, seed, tags["fingerprint"]))
        return TensorBoardRun(self, folder, {**params, **tags})

    def untold(self, done: Collection[CellId]) -> list[CellId]:
        """As in `Tracker`, but what the user deleted is told again."""
        return [cell for cell in done if not (cell_folder(self._folder, cell) / "ended").exists()]

    def settle_cells(self, numbers: Mapping[CellId, Mapping[str, float]]) -> None:
        for cell, metrics in numbers.items():
            folder = cell_folder(self._folder, cell)
            with self.border():
                told = {value.tag: (step, value) for step, value in read(folder, "results")}
                settled = _numbers(max((step for step, _ in told.values()), default=0), metrics)
                replace(
                    folder, "results", (told | {value.tag: (at, value) for at, value in settled}).values()
                )

    def finish_study(
        self,
        summary: Mapping[str, Mapping[str, float]],
        status: Status = "FINISHED",
        findings: Findings | None = None,
    ) -> None:
        with self.border():
            for variant, metrics in summary.items():
                replace(self._folder / run_name(variant), "summary", _numbers(0, metrics))
            if findings is not None:
                verdicts = {variant: ", ".join(each) for variant, each in findings.verdicts.items()}
                replace(self._folder, "answer", [text("answer", {"answer": findings.answer, **verdicts})])

    def reconcile(
        self, running: Collection[CellKey], complete: Collection[CellKey] = (), *, groups: bool = True
    ) -> None:
        """Nothing: a run of TensorBoard's has no state that a dead process would leave behind."""

    def address(self) -> str:
        return "" if self._is_away else self._address

    @contextmanager
    def border(self) -> Iterator[None]:
        """What goes wrong within ends here, and is said once, until something goes well."""
        try:
            yield
        except Exception as error:  # a full disk, a folder taken away, files of other programs
            if not self._is_away:
                LOGGER.warning(
                    "tracking: TensorBoard's files in %s cannot be written (%s); training goes on, and what "
                    "its runs lack is told later, at the latest by the same command",
                    self._folder,
                    cause_of(error),
                )
            self._is_away, self.failures = True, self.failures + 1
        else:
            self._is_away = False


class TensorBoardRun:
    """A `CellRun`: curves, which grow, results, files, and the mark 'ended' once it lacks nothing."""

    def __init__(self, tracker: TensorBoardTracker, folder: Path, about: Mapping[str, str]) -> None:
        self._tracker, self._folder, self._failures = tracker, folder, tracker.failures
        self._file: Path | None = None
        with tracker.border():
            self._told = {(value.tag, step) for step, value in read(folder, "curves")}
            self._add([text("about", about)])

    def log_metrics(self, epoch: int, metrics: Mapping[str, float]) -> None:
        if not epoch:  # an imported cell has nothing but results
            return self.log_results(epoch, metrics)
        with self._tracker.border():
            self._add(_numbers(epoch, metrics))

    def log_results(self, epoch: int, metrics: Mapping[str, float]) -> None:
        with self._tracker.border():
            replace(self._folder, "results", _numbers(epoch, metrics))

    def log_dict(self, content: Mapping[str, object], name: str) -> None:
        with self._tracker.border():
            (self._folder / name).write_text(json.dumps(content, indent=2, default=str))

    def log_artifact(self, path: Path, folder: str) -> None:
        with self._tracker.border():
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, self._folder / folder / path.name)

    def finish(self, status: Status) -> None:
        if status == "FINISHED" and self._tracker.failures == self._failures:
            with self._tracker.border():
                (self._folder / "ended").touch()

    def _add(self, points: Iterable[Point]) -> None:
        new = [(step, value) for step, value in points if (value.tag, step) not in self._told]
        # Nothing is read behind a piece of a record: after a failure another file goes on.
        file, self._file = self._file or new_file(self._folder, "curves"), None
        append(file, new)
        self._file = file
        self._told |= {(value.tag, step) for step, value in new}


def _numbers(step: int, metrics: Mapping[str, float]) -> list[Point]:
    named = {metric_name(name): value for name, value in metrics.items() if not is_candidate(name)}
    return [number(name, value, step) for name, value in named.items()]
