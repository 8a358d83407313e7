"""A worker: claim a cell, run it, say what came out, until nothing is left. Of several ranks, rank 0."""

from __future__ import annotations

import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType

import torch

from cmae_ablate.campaign import Campaign
from cmae_ablate.design import Cell
from cmae_ablate.disk import is_full, no_room
from cmae_ablate.errors import (
    DivergedError,
    Interrupted,
    NoRoomError,
    Pruned,
    RankError,
    StorageError,
    UserError,
)
from cmae_ablate.finished import whole_picture
from cmae_ablate.memory import device_bytes, out_of_memory
from cmae_ablate.pictures import reconstructions, save_reconstructions, spread
from cmae_ablate.pretrain import Hooks, Metrics, image_size_of
from cmae_ablate.progress import CellNote, NoteWriter
from cmae_ablate.queue import JSON, Claim, Queue, wait_for_a_cell
from cmae_ablate.ranks import DISMISSED
from cmae_ablate.rungs import Rungs
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.tracking.tracker import CellRun, Tracker
from cmae_ablate.trial import Bench, CellResult, load_model, run_cell
from cmae_ablate.tuning import on_validation

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


@contextmanager
def catching_signals(flag: StopFlag) -> Iterator[None]:
    """Let SIGINT and SIGTERM set the flag instead of ending the process at once."""
    before = {number: signal.signal(number, flag.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Worker:
    """One worker's tools.

    Attributes:
        campaign: The study.
        queue: Where cells are claimed.
        tracker: Where runs are logged.
        runtime: Device and ranks; precision and compilation are each cell's own.
        stop: Asked between steps.
        log: Path of this worker's log, for `status`.
        tell: Writes a text to that log.
    """

    campaign: Campaign
    queue: Queue
    tracker: Tracker
    runtime: Runtime
    stop: StopFlag
    log: str
    tell: Callable[[str], None]

    def run(self) -> int:
        """Run cells until none is left for anybody, or until told to stop.

        Returns:
            0, or the flag's exit status: then the cell under way wrote a checkpoint and is free again; 1
            where another rank was lost or a rank failed alone, so that those left cannot go on.
        """
        ranks = self.runtime.ranks
        name = f"{socket.gethostname()}-{os.getpid()}"
        while not self.stop() and not ranks.broken:
            claim = self.queue.claim(name, log=self.log)
            if claim is not None:
                self._attempt(claim)
            elif not wait_for_a_cell(self.queue, self.stop):
                break
        return 1 if ranks.broken else ranks.exchange(self.stop.status, DISMISSED)[0]

    def _attempt(self, claim: Claim) -> None:
        cell = self.campaign.cell(claim.cell, claim.proposal.settings)
        notes = NoteWriter(self.campaign.folder / "progress", claim.cell.id)
        note = CellNote(claim.cell.id, f"{cell.variant.label}, seed {cell.seed}", "pretraining")
        run = self.tracker.start_cell(
            cell.variant.label, cell.seed, flat_parameters(cell), {"fingerprint": claim.cell.fingerprint}
        )
        try:
            with claim:
                result = self._run(cell, claim, note, notes, run)
                value = result.metrics[self.campaign.study.metric]
                self.queue.finish(claim, value, as_record(result))
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
            if self.campaign.is_tuning and isinstance(error, DivergedError):
                self._prune(claim, reason, run, note, notes)  # a rate too high is what a search finds out
                return
            self.queue.fail(claim, reason, final=isinstance(error, FINAL))
            run.finish("FAILED")
            notes.write(replace(note, phase="failed", text=reason))
        else:
            run.finish("FINISHED")
            notes.write(replace(note, phase="complete", text=f"{self.campaign.study.metric} {value:.2f}"))

    def _release(self, claim: Claim, note: CellNote, notes: NoteWriter, run: CellRun) -> None:
        self.queue.release(claim)
        run.finish("KILLED")
        notes.write(replace(note, phase="interrupted"))

    def _gather_ranks(self, claim: Claim) -> None:
        """Let the other ranks train this cell, too.

        Raises:
            Interrupted: One of them was told to stop.
        """
        task = self.campaign.planned.index(claim.cell)
        status, _ = self.runtime.ranks.exchange(self.stop.status, task)
        self.stop.status = self.stop.status or status
        if self.stop():
            raise Interrupted

    def _out_of_room(self, claim: Claim, note: CellNote, notes: NoteWriter, run: CellRun) -> NoRoomError:
        """Give the cell back: it is no failure of its own, and any other cell would meet the same disk."""
        reason = no_room(self.campaign.places.out)
        run.finish("KILLED")
        notes.write(replace(note, phase="interrupted", text=reason))
        self.queue.release(claim, reason)
        return NoRoomError(reason)

    def _prune(self, claim: Claim, reason: str, run: CellRun, note: CellNote, notes: NoteWriter) -> None:
        self.queue.prune(claim, reason)
        self.tell(f"{note.title}: pruned: {reason}")
        run.finish("FINISHED")
        notes.write(replace(note, phase="pruned", text=reason))

    def _reason(self, cell: Cell, error: Exception | SystemExit) -> str:
        if isinstance(error, torch.OutOfMemoryError) and self.runtime.device.type == "cuda":
            size = image_size_of(cell.spec, self.campaign.data_of(cell.spec))
            torch.cuda.empty_cache()
            return out_of_memory(cell.spec, size, device_bytes(self.runtime.device), self.runtime.ranks.count)
        if isinstance(error, SystemExit):
            return f"a component tried to end the program (SystemExit: {error.code})"
        return f"{type(error).__name__}: {error}".splitlines()[0]

    def _run(self, cell: Cell, claim: Claim, note: CellNote, notes: NoteWriter, run: CellRun) -> CellResult:
        training = cell.spec.training
        set_threads(training.threads)
        runtime = replace(self.runtime, precision=training.precision, compile=training.compile)
        data = self.campaign.data_of(cell.spec)
        bench = Bench(data, runtime, self.campaign.places.cache, self.campaign.study.keep == "all")
        epoch, has_stepped = 0, False
        rungs = self._rungs(cell, bench, claim)

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
        )
        try:
            result = run_cell(cell.spec, bench, hooks)
        except Interrupted:
            if rungs is not None and rungs.is_hopeless:
                rungs.forget()
                raise Pruned(rungs.reason) from None
            raise
        if self.campaign.is_tuning:
            result = replace(result, metrics=on_validation(result.metrics))
        self._log(cell, bench, result, run)
        return result

    def _rungs(self, cell: Cell, bench: Bench, claim: Claim) -> Rungs | None:
        search = self.campaign.study.search
        if not self.campaign.is_tuning or search is None or not search.prune:
            return None
        report = partial(self.queue.report, claim)
        return Rungs(cell.spec, bench, report, claim.proposal.reported, self.tell)

    def _log(self, cell: Cell, bench: Bench, result: CellResult, run: CellRun) -> None:
        if result.reused:
            for epoch, metrics in enumerate(result.history, start=1):
                run.log_metrics(epoch, metrics)
        run.log_metrics(cell.spec.training.epochs, dict(result.metrics))
        run.log_dict(cell.spec.to_tree(), "configuration.json")
        run.log_dict(dict(result.protocols), "protocols.json")
        if cell.spec.is_pretrained or self.campaign.is_tuning:
            return  # it came without a decoder to draw with; or nobody will look at its pictures
        picture = result.folder / "reconstructions.png"
        if not whole_picture(picture, self.tell):
            model = load_model(cell.spec, bench, result.folder)
            size = image_size_of(cell.spec, bench.data)
            images = bench.data.validation
            indices = spread(len(images), PICTURES)
            drawn = reconstructions(model, bench.data, images, indices, size, bench.runtime.device)
            save_reconstructions(drawn, picture)
        run.log_artifact(picture, "pictures")


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
