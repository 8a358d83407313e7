"""`run`: from a study file to its tables, whatever was interrupted before."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pandas as pd
from rich.console import Console

from cmae_ablate import design, results
from cmae_ablate.cache import record_plan
from cmae_ablate.campaign import Campaign, check_batch
from cmae_ablate.disk import private_files
from cmae_ablate.environment import describe_environment
from cmae_ablate.errors import DivergedError, RankError, StorageError, UserError
from cmae_ablate.follower import check_ranks, follow
from cmae_ablate.launch.local import LOG_VARIABLE, PARENT_VARIABLE, follow_parent, keep_memory, run_workers
from cmae_ablate.model import smoke
from cmae_ablate.options import Options
from cmae_ablate.pretrain import image_size_of
from cmae_ablate.progress import Monitor
from cmae_ablate.queue import JSON, Queue, check_rows
from cmae_ablate.ranks import is_one_of_many, joined, own_device
from cmae_ablate.report import read_trials
from cmae_ablate.reporting import (
    open_queue,
    report_study,
    say,
    say_failures,
    track_imported,
    track_summary,
)
from cmae_ablate.runtime import Runtime, pick_device, set_threads, worker_count
from cmae_ablate.tracking import MlflowTracker, Tracker, ui_command
from cmae_ablate.trial import Bench, run_cell
from cmae_ablate.worker import StopFlag, Worker, catching_signals

INTERRUPTED = (130, 143)
NO_PREDICTIONS = (
    "a CSV holds no per-image predictions: comparisons with imported cells have no interval over seeds and "
    "images together. To have it, copy the other machine's OUT/cache into this OUT instead, and run again: "
    "what lies there is not trained anew"
)
ALL_GONE = (
    "every worker ended before these cells were done; their logs say why. 137 is a kill, most often by "
    "a system that ran out of memory: free some or use fewer --workers. The same command goes on"
)


@private_files()
def run_study(options: Options, console: Console, imported: Sequence[Path] = ()) -> int:
    """Train whatever is missing, then report.

    Args:
        options: The command line's.
        console: Where to say things.
        imported: `trials.csv` files, of other machines perhaps; their matching complete rows count as done.

    Returns:
        0 when every cell is complete, 1 when some failed for good, 130 or 143 when interrupted.
    """
    if is_one_of_many():
        raise UserError(
            "run: torchrun starts several of it; let torchrun start 'cmae-ablate worker' with the same "
            "options, then call run by itself: it finds the cells complete and writes the tables"
        )
    study = options.load()
    # Everything is checked before data are touched or anything is created.
    levels = {variant.label: variant.levels for variant in design.variants(study)}
    described = results.describe(study, levels, design.reference_label(study))
    tables = {str(path): _rows(read_trials(path, described)) for path in imported}
    pick_device(options.device)
    keep_memory()  # a single worker trains in this process
    campaign = options.begin(study, console, measure=True, check=smoke_pass)
    make_places(campaign)
    queue, tracker = open_queue(campaign), open_tracker(campaign)
    tracker.open_study(
        campaign.planned, {"question": study.question, "command": options.command, **describe_environment()}
    )
    if tables:
        _import(tables, queue, tracker, study.metric, console)
    try:
        status = _train(campaign, options, queue, tracker, console)
    except StorageError:
        tracker.reconcile(())  # nobody can be asked what runs; without its database nothing does
        raise
    except BaseException:
        tracker.reconcile(_in_state(queue, "RUNNING"), _in_state(queue, "COMPLETE"))
        raise
    is_over = status in INTERRUPTED
    tracker.reconcile(_in_state(queue, "RUNNING"), _in_state(queue, "COMPLETE"), groups=is_over)
    if is_over:
        console.print("interrupted; the same command goes on from the last checkpoint", highlight=False)
        return status
    try:
        files = report_study(campaign, queue, options)
    except BaseException:
        tracker.finish_study({}, "FAILED")
        raise
    statuses = queue.status()
    say(files, study.question, campaign.folder, console)
    status = say_failures(statuses, console)
    if any(each.state == "WAITING" for each in statuses):
        console.print(ALL_GONE, highlight=False, markup=False, soft_wrap=True)
    track_summary(results.trials_frame(statuses), tracker, "FAILED" if status else "FINISHED")
    _say_where(campaign, tracker, console)
    return status


def _import(
    files: Mapping[str, list[dict[str, JSON]]], queue: Queue, tracker: Tracker, metric: str, console: Console
) -> None:
    """Count what other machines have done; nothing is taken where two of them contradict each other."""
    notes = check_rows(files, queue.status(), metric)
    taken = 0
    for name, rows in files.items():
        count = queue.import_complete(rows, metric)
        taken += count
        console.print(f"imported {count} of {len(rows)} rows of {name}", highlight=False, soft_wrap=True)
    track_imported(queue.status(), tracker)
    if taken:
        notes.append(NO_PREDICTIONS)
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)


def _rows(frame: pd.DataFrame) -> list[dict[str, JSON]]:
    return cast("list[dict[str, JSON]]", frame.to_dict("records"))


def _say_where(campaign: Campaign, tracker: Tracker, console: Console) -> None:
    """The command that shows the runs, and where a browser finds them."""
    address = tracker.address()
    lines = [f"runs: {ui_command(campaign.places.tracking)}", f"      then open {address}"]
    if not address:
        lines = [
            "runs: MLflow is away; they wait in --out, and the same command hands them in once it answers"
        ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


@private_files()
def work(options: Options, console: Console, stop: StopFlag) -> int:
    """One worker in this process, or one rank of it where torchrun started several, until nothing is left.

    Returns:
        0, or 130 or 143 when interrupted, or 1 where another rank was lost.
    """
    follow_parent()
    keep_memory()  # nobody set the allocator's thresholds where a user started this process
    device = own_device(pick_device(options.device))
    try:
        with joined(device) as ranks:
            with ranks.leader_first():  # it prepares data, and measures where a study asks for equal time
                heard = console if ranks.leads else Console(quiet=True)
                campaign = options.begin(options.load(), heard, measure=ranks.leads)
                make_places(campaign)
            check_ranks(campaign, ranks)
            runtime = Runtime(device, ranks=ranks)
            if not ranks.leads:
                return follow(campaign, runtime, lambda: stop.status)
            log = os.environ.get(LOG_VARIABLE, "")  # where the launcher sends this process's output
            queue, tracker = open_queue(campaign), open_tracker(campaign)
            status = Worker(campaign, queue, tracker, runtime, stop, log, _say_now).run()
            if os.environ.get(PARENT_VARIABLE) != "1" and not (running := _in_state(queue, "RUNNING")):
                tracker.reconcile(
                    running, _in_state(queue, "COMPLETE")
                )  # nobody else is there to end the runs
            return status
    except RankError as error:
        _say_now(str(error))
        return 1


@private_files()
def repeat_cell(options: Options, name: str, console: Console) -> int:
    """Train one cell again from nothing, and compare its weights with those recorded.

    Returns:
        0 when they are equal or none were recorded, else 1.

    Raises:
        UserError: The study has no such cell.
    """
    campaign = options.begin(options.load(), console, measure=True)
    known = {f"{cell.variant}:{cell.seed}": cell for cell in campaign.planned}
    if name not in known:
        raise UserError(
            f"--cell {name}: the study has no such cell; choose VARIANT:SEED from {', '.join(known)}"
        )
    cell = campaign.cell(known[name])
    make_places(campaign)
    recorded = {status.cell.id: status.results for status in open_queue(campaign).status()}[known[name].id]
    training = cell.spec.training
    set_threads(training.threads)
    runtime = Runtime(pick_device(options.device), training.precision, training.compile)
    with TemporaryDirectory(prefix="cmae-ablate-") as folder:
        result = run_cell(cell.spec, Bench(campaign.data_of(cell.spec), runtime, Path(folder)))
    for metric, value in sorted(result.metrics.items()):
        console.print(f"{metric}: {value:.6g}", highlight=False)
    before = recorded.get("weights_sha256")
    console.print(f"weights_sha256: {result.weights_sha256}", highlight=False, soft_wrap=True)
    if before is None:
        console.print("no result of this cell is recorded; nothing to compare with", highlight=False)
        return 0
    equal = before == result.weights_sha256
    console.print(
        "equal to the recorded weights" if equal else f"recorded: {before}: NOT equal", soft_wrap=True
    )
    return 0 if equal else 1


def smoke_pass(campaign: Campaign) -> None:
    """Take one step of every variant on noise, before anything is trained.

    Raises:
        UserError: A variant cannot be built or run, or its batch needs more images than there are.
    """
    set_threads(1)
    for variant in campaign.variants:
        check_batch(campaign.study, variant, len(campaign.data_of(variant.spec).train))
        try:
            smoke(variant.spec, image_size_of(variant.spec, campaign.data_of(variant.spec)))
        except (UserError, DivergedError) as error:
            raise UserError(f"{campaign.study.origin.file}: variant '{variant.label}': {error}") from error


def make_places(campaign: Campaign) -> None:
    """Create the folders of state, readable by the owner only.

    Raises:
        UserError: They cannot be created.
    """
    for folder in (campaign.places.out, campaign.places.cache, campaign.folder):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise UserError(
                f"--out {campaign.places.out}: cannot be made a folder ({error.strerror}); choose another"
            ) from error
    needed = ((campaign.pretraining(cell.spec), cell.variant.label, cell.seed) for cell in campaign.cells)
    record_plan(campaign.folder, needed)


def open_tracker(campaign: Campaign) -> Tracker:
    """The study's MLflow store; created if need be."""
    return MlflowTracker(campaign.places.tracking, campaign.places.out / "mlartifacts", campaign.study.name)


def default_workers(campaign: Campaign, options: Options) -> int:
    """One worker a GPU; on CPUs as many as their cores bear at the threads a cell takes."""
    threads = _threads(campaign)
    if options.launcher == "ray":
        from cmae_ablate.launch import ray

        return ray.worker_count(threads, _gpus_per_worker(options), campaign.folder / "logs")
    return worker_count(pick_device(options.device), threads)


def _threads(campaign: Campaign) -> int:
    return max(variant.spec.training.threads for variant in campaign.variants)


def _gpus_per_worker(options: Options) -> float:
    return 0.0 if options.device == "cpu" else options.gpus_per_worker


def _train(campaign: Campaign, options: Options, queue: Queue, tracker: Tracker, console: Console) -> int:
    statuses = queue.status()
    done = sum(status.state == "COMPLETE" for status in statuses)
    if any(status.state == "FAILED" for status in statuses):
        queue.forgive()  # the user runs the command again: what failed for good is tried again
    if done == len(statuses):
        console.print(
            f"all {done} cells of {campaign.study.name} are complete; nothing to train", highlight=False
        )
        return 0
    logs = campaign.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    workers = min(options.workers or default_workers(campaign, options), len(statuses) - done)
    console.print(
        f"{campaign.study.name}: {len(statuses) - done} cells to train, {workers} at a time", highlight=False
    )
    with Monitor(campaign.folder / "progress", len(statuses), done, console):
        if workers > 1 or options.launcher != "local":
            codes = _launch(campaign, options, workers, logs)
            if not queue.pending():
                return 0  # whatever ended some workers, the others did the rest
            return next((code for code in codes if code in INTERRUPTED), 0)
        stop, runtime = StopFlag(), Runtime(pick_device(options.device))
        log = logs / "worker-0.log"
        with catching_signals(stop):
            return Worker(campaign, queue, tracker, runtime, stop, str(log), partial(_append, log)).run()


def _launch(campaign: Campaign, options: Options, workers: int, logs: Path) -> list[int]:
    command = [sys.executable, "-m", "cmae_ablate", "worker", *options.arguments()]
    environment = options.environment()
    if options.launcher == "ray":
        from cmae_ablate.launch import ray

        threads, gpus = _threads(campaign), _gpus_per_worker(options)
        return ray.run_workers(
            command, workers, environment=environment, log_dir=logs, threads=threads, gpus=gpus
        )
    devices = _devices(options.device, workers)
    return run_workers(command, workers, devices=devices, log_dir=logs, environment=environment)


def _say_now(text: str) -> None:
    with suppress(OSError):  # as below
        print(text, flush=True)


def _append(log: Path, text: str) -> None:
    with suppress(OSError), log.open("ab", buffering=0) as file:  # a full disk's log is not worth a training
        file.write(f"{text}\n".encode())


def _in_state(queue: Queue, state: str) -> set[tuple[str, int]]:
    return {(status.cell.variant, status.cell.seed) for status in queue.status() if status.state == state}


def _devices(device: str, workers: int) -> Sequence[str] | None:
    import torch

    if pick_device(device).type != "cuda":
        return None
    return [str(index % torch.cuda.device_count()) for index in range(workers)]
