"""Who works through a study's cells: this process, local ones, Ray's, Slurm's, or torchrun's ranks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from rich.console import Console

from cmae_ablate.distributed import joined, own_device
from cmae_ablate.errors import RankError, StorageError, UserError, printable
from cmae_ablate.files import private_files
from cmae_ablate.report.wording import counted
from cmae_ablate.runner.attempt import Job, Tools
from cmae_ablate.runner.cache import record_plan
from cmae_ablate.runner.experiment import Experiment, controls_of
from cmae_ablate.runner.launch.local import (
    LOG_VARIABLE,
    PARENT_VARIABLE,
    follow_parent,
    follows_parent,
    keep_memory,
    last_line,
)
from cmae_ablate.runner.launching import SEARCH_ONLY, default_workers, launch, submit
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.progress import NOTES, Monitor
from cmae_ablate.runner.provenance import of_other_options
from cmae_ablate.runner.rank_worker import check_ranks, follow
from cmae_ablate.runner.reporting import open_queue, settled
from cmae_ablate.runner.stopping import StopFlag, catching_signals
from cmae_ablate.runner.tracked import make_up_for
from cmae_ablate.runner.tuning import tuning_of
from cmae_ablate.runner.unchanged import AGAIN, check_unchanged
from cmae_ablate.runner.worker import Worker
from cmae_ablate.runtime import Runtime, pick_device
from cmae_ablate.study.design import POSITIVE
from cmae_ablate.terminal import open_console, say

INTERRUPTED = (130, 143)
REFUSED = 2
"""The exit status of a worker that a mistake of the user keeps from its cells."""


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
                experiment = options.begin(options.load(), heard, measure=ranks.leads)
                is_search = SEARCH_ONLY in os.environ
                check_unchanged(options.load(), tuning_of(experiment) if is_search else experiment)
                if not follows_parent() and (others := of_other_options(experiment, options)):
                    say(f"note: {others}", heard)
                make_places(experiment)
            controls = controls_of(experiment)
            for each in (experiment, controls):
                check_ranks(each, ranks)
            runtime = Runtime(device, ranks=ranks)
            if not ranks.leads:
                return follow((experiment, controls), runtime, lambda: stop.status)
            if experiment.study.search is not None:
                tuning = tuning_of(experiment)
                make_places(tuning)
                status = _lead((tuning,), runtime, stop, options.patience)
                if status or is_search:
                    return status
                experiment = settled(experiment)
                controls = controls_of(experiment)
            make_places(experiment, controls)
            return _lead((experiment, controls), runtime, stop, options.patience)
    except RankError as error:
        _say_now(str(error))
        return 1


def _lead(experiments: Sequence[Experiment], runtime: Runtime, stop: StopFlag, patience: float) -> int:
    """Claim cells until nothing is left."""
    log = os.environ.get(LOG_VARIABLE, "")  # where the launcher sends this process's output
    jobs = [open_job(experiment) for experiment in experiments]
    tools = Tools(jobs[0].experiment.folder / NOTES, runtime, stop, log, _say_now, patience)
    status = Worker(jobs, tools).run()
    if os.environ.get(PARENT_VARIABLE) != "1":
        for job in jobs:
            if not any(each.state == "RUNNING" for each in job.queue.status()):
                end_runs(job)  # nobody else is there to do it
    return status


def make_places(experiment: Experiment, controls: Experiment | None = None) -> None:
    """Create the folders of state, readable by the owner only.

    Args:
        experiment: A study, or the tuning of its search.
        controls: The study's controls, once they are known: what they pretrain belongs to the study, too.

    Raises:
        OSError: They cannot be created.
    """
    for folder in (experiment.places.out, experiment.places.cache, experiment.folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    cells = [*experiment.cells, *(controls.cells if controls else ())]
    needed = (
        (experiment.pretraining(cell.spec), cell.variant.label, cell.seed)
        for cell in cells
        if cell.variant.control in (None, POSITIVE)
    )
    record_plan(experiment.folder, needed, experiment.study.path)


def open_job(experiment: Experiment) -> Job:
    """The experiment with its queue and what keeps its runs, both created if need be."""
    places = experiment.places
    tracker = places.backend.open(places.out, experiment.study.name)
    return Job(experiment, open_queue(experiment), tracker)


def work_through(
    jobs: Sequence[Job], options: Options, console: Console, *, owns_process: bool = False
) -> int:
    """Train what is missing, and see to it that no run is left running.

    Args:
        jobs: A study's cells and its controls, or the tuning of its search.
        options: The command line's.
        console: Where to say things.
        owns_process: As for `catching_signals`.

    Returns:
        0, whatever became of the cells; 130 or 143 when interrupted.
    """
    try:
        status = _train(jobs, options, console, owns_process)
    except StorageError:
        for job in jobs:
            job.tracker.reconcile(())  # nobody can be asked what runs; without its database nothing does
        raise
    except BaseException:
        for job in jobs:
            end_runs(job)
        raise
    if is_left_to_slurm(jobs, options):
        return status
    is_over = status in INTERRUPTED
    for job in jobs:
        end_runs(job, groups=is_over)
    if is_over:
        say("interrupted; the same command goes on from the last checkpoint", console)
    return status


def is_left_to_slurm(jobs: Sequence[Job], options: Options) -> bool:
    """Whether there is something left that a job of Slurm does, for which this command does not wait."""
    return options.no_wait and any(job.queue.pending() for job in jobs)


def end_runs(job: Job, *, groups: bool = True) -> None:
    """Make up for what an outage of MLflow held back, and end every run whose cell is not running.

    `groups` as in `Tracker.reconcile`.
    """
    statuses = job.queue.status()
    make_up_for(job.experiment, statuses, job.tracker)
    states = {(each.cell.variant, each.cell.seed): each for each in statuses}
    running = {key for key, each in states.items() if each.state == "RUNNING"}
    job.tracker.reconcile(running, {key for key, each in states.items() if each.is_done}, groups=groups)


def _train(jobs: Sequence[Job], options: Options, console: Console, owns_process: bool) -> int:
    statuses = [job.queue.status() for job in jobs]
    done = sum(status.is_done for each in statuses for status in each)
    total = sum(len(each) for each in statuses)
    for job, each in zip(jobs, statuses, strict=True):
        if any(status.state == "FAILED" for status in each):
            job.queue.reset_failures()  # the user runs the command again: what failed for good is tried again
    experiment = jobs[0].experiment
    cells = counted(total, "cell") + (f" ({len(statuses[1])} of them controls)" if len(jobs) > 1 else "")
    if done == total:
        say(f"all {cells} of {experiment.study.name} are complete; nothing to train", console)
        return 0

    def is_done() -> bool:
        return not any(job.queue.pending() for job in jobs)

    logs = experiment.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    workers = min(options.workers or default_workers(experiment, options), total - done)
    rule = experiment.study.rule
    more = (
        "" if rule is None else f"; seeds are added by rule, and cells counted as if all were: {rule.words}"
    )
    say(
        f"{experiment.study.name}: {total - done} of {cells} to do, {workers} at a time; "
        f"a cell is a variant with a seed{more}",
        console,
    )
    notes = experiment.folder / NOTES
    if options.no_wait:
        submit(experiment, options, workers, logs, console)
        return 0
    with Monitor(notes, [cell.id for job in jobs for cell in job.experiment.planned], done, console):
        if workers > 1 or options.launcher != "local":
            codes = launch(experiment, options, workers, logs, is_done, partial(say, console=console))
            if is_done():
                return 0  # whatever ended some workers, the others did the rest
            if REFUSED in codes:
                raise _refused(logs / f"worker-{codes.index(REFUSED)}.log", options)
            return next((code for code in codes if code in INTERRUPTED), 0)
        stop, runtime = StopFlag(), Runtime(pick_device(options.device))
        log = logs / "worker-0.log"
        with catching_signals(stop, owns_process=owns_process):
            tools = Tools(notes, runtime, stop, str(log), partial(_append, log), options.patience)
            return Worker(jobs, tools).run()


def _refused(log: Path, options: Options) -> UserError:
    """What to say where a worker, started by a command that found all in order, did not."""
    said = last_line(log)
    if "changed meanwhile" in said:
        return UserError(said)
    return UserError(
        f"{options.study}: changed meanwhile, or what it needs did: a worker refused it ({said}); {AGAIN}"
    )


def _say_now(text: str) -> None:
    with suppress(OSError):  # as below
        say(text, open_console())


def _append(log: Path, text: str) -> None:
    with suppress(OSError), log.open("ab", buffering=0) as file:  # a full disk's log is not worth a training
        file.write(f"{printable(text)}\n".encode())
