"""Who works through a study's cells: this process, local ones, Ray's, or the ranks that torchrun started."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from rich.console import Console

from cmae_ablate.cache import record_plan
from cmae_ablate.campaign import Campaign, controls_of
from cmae_ablate.design import POSITIVE
from cmae_ablate.disk import private_files
from cmae_ablate.errors import RankError, StorageError, UserError
from cmae_ablate.follower import check_ranks, follow
from cmae_ablate.launch.local import LOG_VARIABLE, PARENT_VARIABLE, follow_parent, keep_memory, run_workers
from cmae_ablate.options import Options
from cmae_ablate.progress import Monitor
from cmae_ablate.ranks import joined, own_device
from cmae_ablate.reporting import open_queue, settled
from cmae_ablate.runtime import Runtime, pick_device, worker_count
from cmae_ablate.tracking import MlflowTracker
from cmae_ablate.tuning import tuning_of
from cmae_ablate.worker import Job, StopFlag, Worker, catching_signals

INTERRUPTED = (130, 143)
SEARCH_ONLY = "CMAE_ABLATE_SEARCH_ONLY"
"""Set for workers that a search's command starts: once the tuning is over, that command goes on."""


@private_files()
def work(options: Options, console: Console, stop: StopFlag) -> int:
    """One worker in this process, or one rank of it where torchrun started several, until nothing is left.

    Returns:
        0, or 130 or 143 when interrupted, or 1 where another rank was lost.

    Raises:
        UserError: The study is wrong, or several ranks are to tune.
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
            controls = controls_of(campaign)
            for each in (campaign, controls):
                check_ranks(each, ranks)
            runtime = Runtime(device, ranks=ranks)
            if not ranks.leads:
                return follow((campaign, controls), runtime, lambda: stop.status)
            if campaign.study.search is not None:
                tuning = tuning_of(campaign)
                make_places(tuning)
                status = _lead((tuning,), runtime, stop)
                if status or SEARCH_ONLY in os.environ:
                    return status
                campaign = settled(campaign)
                controls = controls_of(campaign)
            make_places(campaign, controls)
            return _lead((campaign, controls), runtime, stop)
    except RankError as error:
        _say_now(str(error))
        return 1


def _lead(campaigns: Sequence[Campaign], runtime: Runtime, stop: StopFlag) -> int:
    """Claim cells until nothing is left."""
    log = os.environ.get(LOG_VARIABLE, "")  # where the launcher sends this process's output
    jobs = [open_job(campaign) for campaign in campaigns]
    status = Worker(jobs, runtime, stop, log, _say_now).run()
    if os.environ.get(PARENT_VARIABLE) != "1":
        for job in jobs:
            if not any(each.state == "RUNNING" for each in job.queue.status()):
                end_runs(job)  # nobody else is there to do it
    return status


def make_places(campaign: Campaign, controls: Campaign | None = None) -> None:
    """Create the folders of state, readable by the owner only.

    Args:
        campaign: A study, or the tuning of its search.
        controls: The study's controls, once they are known: what they pretrain belongs to the study, too.

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
    cells = [*campaign.cells, *(controls.cells if controls else ())]
    needed = (
        (campaign.pretraining(cell.spec), cell.variant.label, cell.seed)
        for cell in cells
        if cell.variant.control in (None, POSITIVE)
    )
    record_plan(campaign.folder, needed, campaign.study.path)


def open_job(campaign: Campaign) -> Job:
    """The campaign with its queue and its MLflow store, both created if need be."""
    artifacts = campaign.places.out / "mlartifacts"
    tracker = MlflowTracker(campaign.places.tracking, artifacts, campaign.study.name)
    return Job(campaign, open_queue(campaign), tracker)


def work_through(jobs: Sequence[Job], options: Options, console: Console) -> int:
    """Train what is missing, and see to it that no run is left running.

    Args:
        jobs: A study's cells and its controls, or the tuning of its search.
        options: The command line's.
        console: Where to say things.

    Returns:
        0, whatever became of the cells; 130 or 143 when interrupted.
    """
    try:
        status = _train(jobs, options, console)
    except StorageError:
        for job in jobs:
            job.tracker.reconcile(())  # nobody can be asked what runs; without its database nothing does
        raise
    except BaseException:
        for job in jobs:
            end_runs(job)
        raise
    is_over = status in INTERRUPTED
    for job in jobs:
        end_runs(job, groups=is_over)
    if is_over:
        console.print("interrupted; the same command goes on from the last checkpoint", highlight=False)
    return status


def end_runs(job: Job, *, groups: bool = True) -> None:
    """End every MLflow run whose cell is not running; `groups` as in `Tracker.reconcile`."""
    states = {(each.cell.variant, each.cell.seed): each for each in job.queue.status()}
    running = {key for key, each in states.items() if each.state == "RUNNING"}
    job.tracker.reconcile(running, {key for key, each in states.items() if each.is_done}, groups=groups)


def _train(jobs: Sequence[Job], options: Options, console: Console) -> int:
    statuses = [job.queue.status() for job in jobs]
    done = sum(status.is_done for each in statuses for status in each)
    total = sum(len(each) for each in statuses)
    for job, each in zip(jobs, statuses, strict=True):
        if any(status.state == "FAILED" for status in each):
            job.queue.forgive()  # the user runs the command again: what failed for good is tried again
    campaign = jobs[0].campaign
    counted = f"{total} cells" + (f" ({len(statuses[1])} of them controls)" if len(jobs) > 1 else "")
    if done == total:
        console.print(
            f"all {counted} of {campaign.study.name} are complete; nothing to train", highlight=False
        )
        return 0
    logs = campaign.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    workers = min(options.workers or default_workers(campaign, options), total - done)
    console.print(
        f"{campaign.study.name}: {total - done} of {counted} to do, {workers} at a time; "
        "a cell is a variant with a seed",
        highlight=False,
    )
    with Monitor(campaign.folder / "progress", total, done, console):
        if workers > 1 or options.launcher != "local":
            codes = _launch(campaign, options, workers, logs)
            if not any(job.queue.pending() for job in jobs):
                return 0  # whatever ended some workers, the others did the rest
            return next((code for code in codes if code in INTERRUPTED), 0)
        stop, runtime = StopFlag(), Runtime(pick_device(options.device))
        log = logs / "worker-0.log"
        with catching_signals(stop):
            return Worker(jobs, runtime, stop, str(log), partial(_append, log)).run()


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


def _devices(device: str, workers: int) -> Sequence[str] | None:
    import torch

    if pick_device(device).type != "cuda":
        return None
    return [str(index % torch.cuda.device_count()) for index in range(workers)]


def _say_now(text: str) -> None:
    with suppress(OSError):  # as below
        print(text, flush=True)


def _append(log: Path, text: str) -> None:
    with suppress(OSError), log.open("ab", buffering=0) as file:  # a full disk's log is not worth a training
        file.write(f"{text}\n".encode())
