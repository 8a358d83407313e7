"""One attempt at a cell: train it, and let queue, tracker, log and progress know how it ended."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from cmae_ablate.errors import DeviceError, Interrupted, NoRoomError, Pruned, UserError, no_room
from cmae_ablate.queue import Claim, Queue
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.cell import CellContext
from cmae_ablate.runner.control_cells import run_any
from cmae_ablate.runner.endings import ENDINGS, Name, ending_of
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.memory import device_bytes, out_of_memory
from cmae_ablate.runner.probing import probe
from cmae_ablate.runner.progress import CellNote, NoteWriter
from cmae_ablate.runner.pruning import MedianPruner
from cmae_ablate.runner.stopping import StopFlag
from cmae_ablate.runner.tracked import flat_parameters, tell_picture, tell_result
from cmae_ablate.runner.tuning import on_validation
from cmae_ablate.runner.watchdog import STALL_MINUTES, Watchdog, stalled_words
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.design import Cell
from cmae_ablate.tracking.tracker import Tracker
from cmae_ablate.training.loop import Hooks, Metrics, image_size_of

WORDS: Mapping[Name, str] = {
    "interrupted": "",
    "stopped at once": "",
    "lease lost": "another worker has the cell by now",
}

NEXT_PROCESS = (
    ": the GPU computes nothing more for this process, which ends; the cell is free for another, and the "
    "same command goes on"
)


@dataclass(frozen=True)
class Job:
    """Cells to run.

    Attributes:
        experiment: A study, the tuning of its search, or its controls.
        queue: Where its cells are claimed.
        tracker: Where its runs are logged.
    """

    experiment: Experiment
    queue: Queue
    tracker: Tracker


@dataclass(frozen=True)
class Tools:
    """What a worker runs cells with.

    Attributes:
        notes: Folder of the notes that tell of progress.
        runtime: Device and ranks; precision and compilation are each cell's own.
        stop: Asked between steps.
        log: Path of the worker's log; empty if unknown.
        tell: Writes a text to that log.
        patience: Seconds without a step after which people are told.
    """

    notes: Path
    runtime: Runtime
    stop: StopFlag
    log: str
    tell: Callable[[str], None]
    patience: float = STALL_MINUTES * 60


class Attempt:
    """One claim of one cell, with all that it holds while it is trained.

    Args:
        job: Where the cell is from.
        offset: Cells of the jobs before it: ranks count the cells of all.
        claim: The lease.
        tools: The worker's.
    """

    def __init__(self, job: Job, offset: int, claim: Claim, tools: Tools) -> None:
        self._job, self._offset, self._claim, self._tools = job, offset, claim, tools
        self.cell: Cell = job.experiment.cell(claim.cell, claim.proposal.settings)
        title = f"{self.cell.variant.label}, seed {self.cell.seed}"
        self._note = CellNote(claim.cell.id, title, "pretraining", log=tools.log, patience=tools.patience)
        self._notes = NoteWriter(tools.notes, claim.cell.id)
        self._watchdog = Watchdog(tools.patience, self._bark)
        self._run = job.tracker.start_cell(
            self.cell.variant.label,
            self.cell.seed,
            flat_parameters(self.cell),
            {"fingerprint": claim.cell.fingerprint},
        )
        self._epoch, self._has_stepped = 0, False
        self._pruner: MedianPruner | None = None

    def run(self) -> None:
        """Train the cell, whatever becomes of it.

        Raises:
            NoRoomError: A disk is full.
            StorageError: The database stays away.
            KeyboardInterrupt: The user wants it to stop at once.
        """
        try:
            with self._claim, self._tools.stop.telling(self._claim.told_to_stop), self._watchdog:
                result = self._train()
                metric, value = self._deciding(result)
                self._job.queue.finish(self._claim, value, result)
        except BaseException as error:
            name = ending_of(error, has_lost_lease=self._claim.lost, is_tuning=self._job.experiment.is_tuning)
            if name is None:
                raise
            reason = self._reason(name, error)
            self._end(name, reason, traceback.format_exc())
            if name == "no room":
                raise NoRoomError(reason) from error
            if name == "device lost":
                raise DeviceError(f"{reason}{NEXT_PROCESS}") from error
            if ENDINGS[name].worker == "raises":
                raise
        else:
            self._end("finished", f"{metric} {value:.2f}", "")

    def _end(self, name: Name, reason: str, trace: str) -> None:
        """Tell log, queue, tracker and progress, in this order, what the table of endings says."""
        ending, queue, claim = ENDINGS[name], self._job.queue, self._claim
        if ending.log:
            said = (
                f"{name}: {reason}" if ending.log == "reason" else f"attempt {claim.attempt} failed\n{trace}"
            )
            self._tools.tell(f"{self._note.title}: {said}")
        if ending.lease == "free":
            queue.release(claim, reason or "interrupted")
        elif ending.lease == "pruned":
            queue.prune(claim, reason)
        elif ending.lease in ("failed", "failed for good"):
            queue.fail(claim, reason, final=ending.lease == "failed for good")
        if ending.lease == "pruned" and self._pruner is not None:
            self._pruner.forget()  # a cell that is complete has cleared its own
        if ending.run is not None:
            self._run.finish(ending.run)
        if ending.phase is not None:
            self._notes.write(replace(self._note, phase=ending.phase, text=reason))

    def _reason(self, name: Name, error: BaseException) -> str:
        """Why it ended, in one line."""
        runtime, experiment = self._tools.runtime, self._job.experiment
        if name == "no room":
            return no_room(experiment.places.out, is_out=True)
        if name in WORDS:
            return WORDS[name]
        if isinstance(error, Pruned | UserError):  # written for people
            return str(error)
        if isinstance(error, torch.OutOfMemoryError) and runtime.device.type == "cuda":
            size = image_size_of(self.cell.spec, experiment.data_of(self.cell.spec))
            torch.cuda.empty_cache()
            return out_of_memory(self.cell.spec, size, device_bytes(runtime.device), runtime.ranks.count)
        if isinstance(error, SystemExit):
            return f"a component tried to end the program (SystemExit: {error.code})"
        return f"{type(error).__name__}: {error}".splitlines()[0]

    def _deciding(self, result: CellRecord) -> tuple[str, float]:
        """The study's metric; of a control that does not have it, the first one that it has."""
        metric, found = self._job.experiment.study.metric, result.metrics
        if self.cell.variant.control is not None and metric not in found:
            return next(iter(found.items()), ("nothing measured", 0.0))
        return metric, found[metric]

    def _train(self) -> CellRecord:
        cell, experiment = self.cell, self._job.experiment
        context = CellContext.of(experiment, cell.spec, self._tools.runtime)
        search = experiment.study.search
        if experiment.is_tuning and search is not None and search.prune:
            report = partial(self._job.queue.report, self._claim)
            reported = self._claim.proposal.reported
            self._pruner = MedianPruner(cell.spec, context, report, reported, self._tools.tell)
        self._notes.write(self._note)
        hooks = self._hooks()
        try:
            result = run_any(cell, context, hooks)
            for epoch, found in probe(cell.spec, context, hooks).items():
                self._run.log_metrics(epoch, found)
        except Interrupted:
            if self._pruner is not None and self._pruner.is_hopeless:
                raise Pruned(self._pruner.reason) from None
            raise
        if experiment.is_tuning:
            result = replace(result, metrics=on_validation(result.metrics))
        tell_result(self._run, cell, result, result.history if result.reused else ())
        if not (cell.spec.is_pretrained or experiment.is_tuning or cell.variant.control):
            # Others came without a decoder to draw with, or nobody will look at their pictures.
            assert result.folder is not None, "what has just run lies in a folder"
            tell_picture(self._run, cell, context, result.folder, self._tools.tell)
        return result

    def _hooks(self) -> Hooks:
        return Hooks(
            self._on_epoch,
            self._on_step,
            self._on_evaluation,
            should_stop=self._should_stop,
            warn=self._tools.tell,
            on_start=self._gather_ranks,
            looks_at=lambda epochs: self._pruner is not None and self._pruner.looks_at(epochs),
        )

    def _on_epoch(self, done: int, metrics: Metrics) -> None:
        self._watchdog.step()
        self._epoch = done
        if self._has_stepped:  # not an epoch of an attempt before, told again
            self._claim.advance()
        self._run.log_metrics(done, metrics)
        if self._pruner is not None:
            self._pruner.on_epoch(done)

    def _on_step(self, done: int, total: int) -> None:
        self._watchdog.step()
        self._has_stepped = True
        phase = "pretraining" if done < total else "evaluating"
        epochs = self.cell.spec.training.epochs
        self._notes.write(
            replace(self._note, phase=phase, step=done, steps=total, epoch=self._epoch, epochs=epochs)
        )

    def _on_evaluation(self, done: int, total: int) -> None:
        self._watchdog.step()
        self._notes.write(replace(self._note, phase="evaluating", step=done, steps=total))

    def _should_stop(self) -> bool:
        # Also asked, every second, while another worker trains the same pretraining.
        self._watchdog.step()
        self._notes.again()
        is_hopeless = self._pruner is not None and self._pruner.is_hopeless
        return self._tools.stop() or self._claim.lost or is_hopeless

    def _gather_ranks(self) -> None:
        """Let the other ranks train this cell, too.

        Raises:
            Interrupted: One of them was told to stop.
        """
        stop, task = self._tools.stop, self._offset + self._job.experiment.planned.index(self._claim.cell)
        status, _ = self._tools.runtime.ranks.exchange(stop.status, task)
        stop.status = stop.status or status
        if stop():
            raise Interrupted

    def _bark(self, seconds: float) -> None:
        note = self._notes.last or self._note
        self._tools.tell(stalled_words(note.title, note.doing, seconds, note.at, ""))
