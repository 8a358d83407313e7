"""`run`: from a study file to its tables, whatever was interrupted before."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from rich.console import Console

from cmae_ablate import design, results
from cmae_ablate.campaign import Campaign
from cmae_ablate.environment import describe_environment
from cmae_ablate.errors import DivergedError, UserError
from cmae_ablate.launch.local import LOG_VARIABLE, follow_parent, run_workers
from cmae_ablate.model import smoke
from cmae_ablate.options import Options
from cmae_ablate.pretrain import image_size_of
from cmae_ablate.progress import Monitor
from cmae_ablate.queue import JSON, Queue
from cmae_ablate.report import read_trials
from cmae_ablate.reporting import (
    open_queue,
    report_study,
    say,
    say_failures,
    settled,
    track_imported,
    track_summary,
)
from cmae_ablate.runtime import Runtime, pick_device, set_threads
from cmae_ablate.study_file import Study
from cmae_ablate.tracking import MlflowTracker, Tracker, ui_command
from cmae_ablate.trial import Bench, run_cell
from cmae_ablate.tuning import SEARCH_CSV, frozen, search_frame, tuning_of, winners, with_corners
from cmae_ablate.worker import StopFlag, Worker, catching_signals

INTERRUPTED = (130, 143)
SEARCH_ONLY = "CMAE_ABLATE_SEARCH_ONLY"
"""Set for workers that a search's command starts: once the tuning is over, that command goes on."""


def run_study(options: Options, console: Console, imported: Path | None = None) -> int:
    """Train whatever is missing, then report.

    Args:
        options: The command line's.
        console: Where to say things.
        imported: A `trials.csv` whose matching complete rows count as done.

    Returns:
        0 when every cell is complete, 1 when some failed for good, 130 or 143 when interrupted.
    """
    study = options.load()
    # Everything is checked before data are touched or anything is created.
    levels = {variant.label: variant.levels for variant in design.variants(study)}
    described = results.describe(study, levels, design.reference_label(study))
    rows = (
        cast("list[dict[str, JSON]]", read_trials(imported, described).to_dict("records")) if imported else []
    )
    pick_device(options.device)
    campaign = options.begin(study, console)
    smoke_pass(with_corners(campaign) if study.search else campaign)
    make_places(campaign)
    if study.search is not None:
        found, status = run_search(campaign, options, console)
        if found is None:
            return status
        campaign = found
    queue, tracker = open_queue(campaign), open_tracker(campaign)
    tracker.open_study(campaign.planned, _description(study, options))
    if rows:
        count = queue.import_complete(rows, study.metric)
        track_imported(queue.status(), tracker)
        console.print(f"imported {count} of {len(rows)} rows of {imported}", highlight=False)
    status = _work_through(campaign, options, queue, tracker, console)
    if status in INTERRUPTED:
        return status
    try:
        files = report_study(campaign, queue, options)
    except BaseException:
        tracker.finish_study({}, "FAILED")
        raise
    statuses = queue.status()
    say(files, study.question, campaign.folder, console)
    status = say_failures(statuses, console)
    track_summary(results.trials_frame(statuses), tracker, "FAILED" if status else "FINISHED")
    _say_where(campaign, tracker, console)
    return status


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


def run_search(campaign: Campaign, options: Options, console: Console) -> tuple[Campaign | None, int]:
    """Tune every variant, and freeze the winners.

    Returns:
        The study with the winners' settings and 0; None and the exit status where there are no winners yet.
    """
    tuning = tuning_of(campaign)
    make_places(tuning)
    queue, tracker = open_queue(tuning), open_tracker(tuning)
    tracker.open_study(tuning.planned, _description(campaign.study, options))
    status = _work_through(tuning, options, queue, tracker, console)
    statuses = queue.status()
    search_frame(campaign, statuses).to_csv(campaign.folder / SEARCH_CSV, index=False)
    if status in INTERRUPTED:
        return None, status
    won = winners(campaign, statuses)
    status = say_failures(statuses, console)
    track_summary(results.trials_frame(statuses), tracker, "FINISHED" if won else "FAILED")
    if won is None:
        console.print(
            "no table yet: every variant needs all of its tuning trials, and one that came to its end; "
            f"see {campaign.folder / SEARCH_CSV}, narrow the space, and run the command again",
            highlight=False,
            soft_wrap=True,
        )
        return None, 1
    queue.note("winners", {label: dict(each.settings) for label, each in won.items()})
    found = frozen(campaign, won)
    for note in found.notes:
        console.print(f"search: {note}", highlight=False, markup=False)
    return found, 0


def work(options: Options, console: Console, stop: StopFlag) -> int:
    """One worker in this process, until nothing is left.

    Returns:
        0, or 130 or 143 when interrupted.
    """
    follow_parent()
    campaign = options.begin(options.load(), console)
    make_places(campaign)
    runtime = Runtime(pick_device(options.device))
    log = os.environ.get(LOG_VARIABLE, "")  # where the launcher sends this process's output

    def worker(each: Campaign) -> Worker:
        return Worker(each, open_queue(each), open_tracker(each), runtime, stop, log, _say_now)

    if campaign.study.search is not None:
        tuning = tuning_of(campaign)
        make_places(tuning)
        status = worker(tuning).run()
        if status or SEARCH_ONLY in os.environ:
            return status
    return worker(settled(campaign)).run()


def repeat_cell(options: Options, name: str, console: Console) -> int:
    """Train one cell again from nothing, and compare its weights with those recorded.

    Returns:
        0 when they are equal or none were recorded, else 1.

    Raises:
        UserError: The study has no such cell.
    """
    campaign = settled(options.begin(options.load(), console))
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
        images, batch = len(campaign.data_of(variant.spec).train), variant.spec.training.batch_size
        if batch > images:
            raise UserError(
                f"{campaign.study.origin.file}: variant '{variant.label}': training.batch_size {batch} "
                f"exceeds the {images} training images; lower it"
            )
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


def open_tracker(campaign: Campaign) -> Tracker:
    """The study's MLflow store; created if need be."""
    return MlflowTracker(campaign.places.tracking, campaign.places.out / "mlartifacts", campaign.study.name)


def default_workers(campaign: Campaign, options: Options) -> int:
    """One worker a GPU; on CPUs as many as their cores bear at the threads a cell takes."""
    import torch

    threads = _threads(campaign)
    if options.launcher == "ray":
        from cmae_ablate.launch import ray

        return ray.worker_count(threads, _gpus_per_worker(options), campaign.folder / "logs")
    if pick_device(options.device).type == "cuda":
        return torch.cuda.device_count()
    return max(1, len(os.sched_getaffinity(0)) // threads)


def _threads(campaign: Campaign) -> int:
    return max(variant.spec.training.threads for variant in campaign.variants)


def _gpus_per_worker(options: Options) -> float:
    return 0.0 if options.device == "cpu" else options.gpus_per_worker


def _train(campaign: Campaign, options: Options, queue: Queue, tracker: Tracker, console: Console) -> int:
    statuses = queue.status()
    done = sum(status.is_done for status in statuses)
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
            return next((code for code in codes if code in INTERRUPTED), 0)
        stop, runtime = StopFlag(), Runtime(pick_device(options.device))
        log = logs / "worker-0.log"
        with catching_signals(stop), log.open("a", buffering=1, encoding="utf-8") as file:
            tell = partial(print, file=file)
            return Worker(campaign, queue, tracker, runtime, stop, str(log), tell).run()


def _work_through(
    campaign: Campaign, options: Options, queue: Queue, tracker: Tracker, console: Console
) -> int:
    """Train what is missing, and see to it that no run is left running."""
    status = _train(campaign, options, queue, tracker, console)
    is_over = status in INTERRUPTED
    states = {(each.cell.variant, each.cell.seed): each for each in queue.status()}
    running = {key for key, each in states.items() if each.state == "RUNNING"}
    tracker.reconcile(running, {key for key, each in states.items() if each.is_done}, groups=is_over)
    if is_over:
        console.print("interrupted; the same command goes on from the last checkpoint", highlight=False)
    return status


def _description(study: Study, options: Options) -> dict[str, str]:
    return {"question": study.question, "command": options.command, **describe_environment()}


def _launch(campaign: Campaign, options: Options, workers: int, logs: Path) -> list[int]:
    command = [sys.executable, "-m", "cmae_ablate", "worker", *options.arguments()]
    environment = options.environment() | ({SEARCH_ONLY: "1"} if campaign.is_tuning else {})
    if options.launcher == "ray":
        from cmae_ablate.launch import ray

        threads, gpus = _threads(campaign), _gpus_per_worker(options)
        return ray.run_workers(
            command, workers, environment=environment, log_dir=logs, threads=threads, gpus=gpus
        )
    devices = _devices(options.device, workers)
    return run_workers(command, workers, devices=devices, log_dir=logs, environment=environment)


def _say_now(text: str) -> None:
    print(text, flush=True)


def _devices(device: str, workers: int) -> Sequence[str] | None:
    import torch

    if pick_device(device).type != "cuda":
        return None
    return [str(index % torch.cuda.device_count()) for index in range(workers)]
