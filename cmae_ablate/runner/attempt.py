"""One attempt at a cell: run it, and tell queue, tracker, log and progress what came out."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType

import torch

from cmae_ablate.errors import (
    DeviceError,
    DivergedError,
    Interrupted,
    NoRoomError,
    Pruned,
    RankError,
    StorageError,
    UserError,
)
from cmae_ablate.files import is_full, no_room
from cmae_ablate.queue import JSON, Claim, Queue
from cmae_ablate.runner.cell import CellContext, CellResult, load_model
from cmae_ablate.runner.control_cells import run_any
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.finished import whole_picture
from cmae_ablate.runner.memory import device_bytes, out_of_memory
from cmae_ablate.runner.progress import CellNote, NoteWriter
from cmae_ablate.runner.pruning import MedianPruner
from cmae_ablate.runner.tuning import on_validation
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.study.design import Cell
from cmae_ablate.tracking.tracker import CellRun, Tracker
from cmae_ablate.training.loop import Hooks, Metrics, image_size_of
from cmae_ablate.training.pictures import reconstructions, save_reconstructions, spread

PICTURES = 8
FINAL = (UserError, DivergedError, torch.OutOfMemoryError)
"""What the settings and the machine decide, so that another attempt would end alike."""


class StopFlag:
    """Remembers the first SIGINT or SIGTERM."""

    def __init__(self) -> None:
        self.status = 0

    def __call__(self) -> bool:
        return self.status != 0

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """Signal handler."""
        self.status = self.status or 128 + number


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
class Attempts:
    """How a worker runs the cells of one job.

    Attributes:
        job: The job.
        offset: Cells of the jobs before it: ranks count the cells of all.
        notes: Folder of the notes that tell of progress.
        runtime: Device and ranks; precision and compilation are each cell's own.
        stop: Asked between steps.
        tell: Writes a text to the worker's log.
    """

    job: Job
    offset: int
    notes: Path
    runtime: Runtime
    stop: StopFlag
    tell: Callable[[str], None]

    def run(self, claim: Claim) -> None:
        """One attempt at a cell, whatever becomes of it."""
        cell = self.job.experiment.cell(claim.cell, claim.proposal.settings)
        notes = NoteWriter(self.notes, claim.cell.id)
        note = CellNote(claim.cell.id, f"{cell.variant.label}, seed {cell.seed}", "pretraining")
        run = self.job.tracker.start_cell(
            cell.variant.label, cell.seed, flat_parameters(cell), {"fingerprint": claim.cell.fingerprint}
        )
        try:
            with claim:
                result = self._run(cell, claim, note, notes, run)
                metric, value = self._deciding(cell, result)
                self.job.queue.finish(claim, value, as_record(result))
        except Interrupted:
            self._release(claim, note, notes, run)
        except Pruned as pruned:
            self._prune(claim, str(pruned), run, note, notes)
        except StorageError:
            raise  # nothing can be told to a database that is away; the lease runs out by itself
        except (Exception, SystemExit) as error:  # a component's own exit is no reason to end the study
            if isinstance(error, RankError) and not error.reason:
                # Killed, or its machine is gone: the cell is not to blame.
                self.tell(f"{note.title}: {error}")
                self._release(claim, note, notes, run)
                return
            if is_full(error):
                raise self._out_of_room(claim, note, notes, run) from error
            reason = self._reason(cell, error)
            self.tell(f"{note.title}: attempt {claim.attempt} failed\n{traceback.format_exc()}")
            if self.job.experiment.is_tuning and isinstance(error, DivergedError):
                self._prune(claim, reason, run, note, notes)  # a rate too high is what a search finds out
                return
            self.job.queue.fail(claim, reason, final=isinstance(error, FINAL))
            run.finish("FAILED")
            notes.write(replace(note, phase="failed", text=reason))
            if _ruins_the_process(error):
                raise DeviceError(
                    f"{reason}: the GPU computes nothing more for this process, which ends; the cell is free "
                    "for another, and the same command goes on"
                ) from error
        else:
            run.finish("FINISHED")
            notes.write(replace(note, phase="complete", text=f"{metric} {value:.2f}"))

    def _deciding(self, cell: Cell, result: CellResult) -> tuple[str, float]:
        """The study's metric; of a control that does not have it, the first one that it has."""
        metric, found = self.job.experiment.study.metric, result.metrics
        if cell.variant.control is not None and metric not in found:
            return next(iter(found.items()), ("nothing measured", 0.0))
        return metric, found[metric]

    def _release(self, claim: Claim, note: CellNote, notes: NoteWriter, run: CellRun) -> None:
        self.job.queue.release(claim)
        run.finish("KILLED")
        notes.write(replace(note, phase="interrupted"))

    def _gather_ranks(self, claim: Claim) -> None:
        """Let the other ranks train this cell, too.

        Raises:
            Interrupted: One of them was told to stop.
        """
        task = self.offset + self.job.experiment.planned.index(claim.cell)
        status, _ = self.runtime.ranks.exchange(self.stop.status, task)
        self.stop.status = self.stop.status or status
        if self.stop():
            raise Interrupted

    def _out_of_room(self, claim: Claim, note: CellNote, notes: NoteWriter, run: CellRun) -> NoRoomError:
        """Give the cell back: it is no failure of its own, and any other cell would meet the same disk."""
        reason = no_room(self.job.experiment.places.out)
        run.finish("KILLED")
        notes.write(replace(note, phase="interrupted", text=reason))
        self.job.queue.release(claim, reason)
        return NoRoomError(reason)

    def _prune(self, claim: Claim, reason: str, run: CellRun, note: CellNote, notes: NoteWriter) -> None:
        self.job.queue.prune(claim, reason)
        self.tell(f"{note.title}: pruned: {reason}")
        run.finish("FINISHED")
        notes.write(replace(note, phase="pruned", text=reason))

    def _reason(self, cell: Cell, error: Exception | SystemExit) -> str:
        if isinstance(error, torch.OutOfMemoryError) and self.runtime.device.type == "cuda":
            size = image_size_of(cell.spec, self.job.experiment.data_of(cell.spec))
            torch.cuda.empty_cache()
            return out_of_memory(cell.spec, size, device_bytes(self.runtime.device), self.runtime.ranks.count)
        if isinstance(error, SystemExit):
            return f"a component tried to end the program (SystemExit: {error.code})"
        return f"{type(error).__name__}: {error}".splitlines()[0]

    def _run(self, cell: Cell, claim: Claim, note: CellNote, notes: NoteWriter, run: CellRun) -> CellResult:
        training = cell.spec.training
        set_threads(training.threads)
        runtime = replace(self.runtime, precision=training.precision, compile=training.compile)
        data = self.job.experiment.data_of(cell.spec)
        cell_context = CellContext(
            data, runtime, self.job.experiment.places.cache, self.job.experiment.study.keep == "all"
        )
        epoch, has_stepped = 0, False
        rungs = self._rungs(cell, cell_context, claim)

        def on_epoch(done: int, metrics: Metrics) -> None:
            nonlocal epoch
            epoch = done
            if has_stepped:  # not an epoch of an attempt before, told again
                claim.advance()
            run.log_metrics(done, metrics)
            if rungs:
                rungs.on_epoch(done)

        def on_step(done: int, total: int) -> None:
            nonlocal has_stepped
            has_stepped = True
            phase = "pretraining" if done < total else "evaluating"
            notes.write(
                replace(note, phase=phase, step=done, steps=total, epoch=epoch, epochs=training.epochs)
            )

        def on_evaluation(done: int, total: int) -> None:
            notes.write(replace(note, phase="evaluating", step=done, steps=total))

        def should_stop() -> bool:
            return self.stop() or claim.lost or (rungs is not None and rungs.is_hopeless)

        notes.write(note)
        hooks = Hooks(
            on_epoch,
            on_step,
            on_evaluation,
            should_stop=should_stop,
            warn=self.tell,
            on_start=lambda: self._gather_ranks(claim),
            looks_at=lambda epochs: rungs is not None and rungs.looks_at(epochs),
        )
        try:
            result = run_any(cell, cell_context, hooks)
        except Interrupted:
            if rungs is not None and rungs.is_hopeless:
                rungs.forget()
                raise Pruned(rungs.reason) from None
            raise
        if self.job.experiment.is_tuning:
            result = replace(result, metrics=on_validation(result.metrics))
        self._log(cell, cell_context, result, run)
        return result

    def _rungs(self, cell: Cell, cell_context: CellContext, claim: Claim) -> MedianPruner | None:
        search = self.job.experiment.study.search
        if not self.job.experiment.is_tuning or search is None or not search.prune:
            return None
        report = partial(self.job.queue.report, claim)
        return MedianPruner(cell.spec, cell_context, report, claim.proposal.reported, self.tell)

    def _log(self, cell: Cell, cell_context: CellContext, result: CellResult, run: CellRun) -> None:
        if result.reused:
            for epoch, metrics in enumerate(result.history, start=1):
                run.log_metrics(epoch, metrics)
        run.log_metrics(cell.spec.training.epochs, dict(result.metrics))
        run.log_dict(cell.spec.to_tree(), "configuration.json")
        run.log_dict(dict(result.protocols), "protocols.json")
        if cell.spec.is_pretrained or self.job.experiment.is_tuning or cell.variant.control:
            return  # it came without a decoder to draw with; or nobody will look at its pictures
        picture = result.folder / "reconstructions.png"
        if not whole_picture(picture, self.tell):
            model = load_model(cell.spec, cell_context, result.folder)
            size = image_size_of(cell.spec, cell_context.data)
            images = cell_context.data.validation
            indices = spread(len(images), PICTURES)
            drawn = reconstructions(
                model, cell_context.data, images, indices, size, cell_context.runtime.device
            )
            save_reconstructions(drawn, picture)
        run.log_artifact(picture, "pictures")


def _ruins_the_process(error: BaseException | None) -> bool:
    """Whether an error, or whatever caused it, is CUDA's own: each later call of the process repeats it.

    Out of memory is none, though compilers and libraries may wrap either into errors of their own.
    """
    while error is not None:
        if isinstance(error, torch.AcceleratorError):
            return True
        error = error.__cause__ or error.__context__
    return False


def flat_parameters(cell: Cell) -> dict[str, str]:
    """The resolved trial as `slot.option: value` texts."""
    flat: dict[str, str] = {"seed": str(cell.seed), "variant": cell.variant.label}

    def add(prefix: str, node: object) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                add(f"{prefix}.{key}" if prefix else key, value)
        else:
            flat[prefix] = str(node)

    add("", cell.spec.to_tree())
    return flat


def as_record(result: CellResult) -> dict[str, JSON]:
    """What the queue keeps of a result."""
    return {
        "metrics": dict(result.metrics),
        "weights_sha256": result.weights_sha256,
        "device": result.device,
        "folder": str(result.folder),
        "protocols": dict(result.protocols),
        "reused": result.reused,
    }
