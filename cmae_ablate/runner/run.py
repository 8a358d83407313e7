"""`run`: from a study file to its tables, whatever was interrupted before."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from cmae_ablate.distributed import is_one_of_many
from cmae_ablate.errors import UserError
from cmae_ablate.files import private_files
from cmae_ablate.queue import check_rows, importable
from cmae_ablate.report import read_trials
from cmae_ablate.report.cell_record import TrialRow, rows_of
from cmae_ablate.report.searched import SEARCH_FILE
from cmae_ablate.runner import results
from cmae_ablate.runner.analysis_plan import PLAN_FILE, read_plan, record_plan
from cmae_ablate.runner.attempt import Job
from cmae_ablate.runner.budget import TIME
from cmae_ablate.runner.environment import describe_environment
from cmae_ablate.runner.experiment import Experiment, Places, check_batch, controls_of
from cmae_ablate.runner.hour_zero import Rehearsal, rehearse
from cmae_ablate.runner.imported import import_line, lacks_predictions, lost_by_import
from cmae_ablate.runner.launch.local import keep_memory
from cmae_ablate.runner.launch.network_files import check_databases
from cmae_ablate.runner.launch.slurm import require_sbatch
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.provenance import report_folder, settle_folder
from cmae_ablate.runner.recheck import damaged_cells
from cmae_ablate.runner.reporting import (
    report_study,
    say_failures,
    say_report,
    write_search,
)
from cmae_ablate.runner.results import StudyTrials
from cmae_ablate.runner.run_links import say_where
from cmae_ablate.runner.summaries import track_imported, track_summary
from cmae_ablate.runner.tracked import variant_parameters
from cmae_ablate.runner.tuning import (
    frozen,
    tuning_of,
    with_corners,
)
from cmae_ablate.runner.tuning_notes import few_images_note
from cmae_ablate.runner.untaken import say_untaken
from cmae_ablate.runner.winners import search_of, winners
from cmae_ablate.runner.workers import (
    INTERRUPTED,
    is_left_to_slurm,
    make_places,
    open_job,
    work_through,
)
from cmae_ablate.runtime import device_type
from cmae_ablate.study import design
from cmae_ablate.study.controls import control_variants
from cmae_ablate.study.design import EVALUATION, RANDOM_INIT, RAW_PIXELS, Variant
from cmae_ablate.terminal import say
from cmae_ablate.tracking.tracker import Status, Subject
from cmae_ablate.training.loop import image_size_of
from cmae_ablate.training.untrained import untrained_encoder

ALL_GONE = (
    "every worker ended before these cells were done; their logs say why. 137 is a kill, most often by "
    "a system that ran out of memory: free some or use fewer --workers. The same command goes on"
)
UNMEASURED = (
    "budget: time needs the seconds of a step measured on a machine that trains, which this one is not; "
    "start one worker there (srun cmae-ablate worker STUDY, the same options), then give this command again"
)


@private_files()
def run_study(
    options: Options, console: Console, imported: Sequence[Path] = (), *, owns_process: bool = False
) -> int:
    """Train whatever is missing, then report.

    Args:
        options: The command line's.
        console: Where to say things.
        imported: `trials.csv` files, of other machines perhaps; their matching complete rows count as done.
        owns_process: Whether a second signal ends the process, as of a command; else it raises.

    Returns:
        0 when every cell is complete or Slurm's, 1 when some failed for good, 130 or 143 when interrupted.
    """
    study = options.load()
    # Everything is checked before data are touched or anything is created.
    _check_launching(options)
    resolved = design.variants(study)
    control_variants(study, resolved)
    levels = {variant.label: variant.levels for variant in resolved}
    described = results.describe(study, levels, design.reference_label(study))
    tables = {str(path): rows_of(read_trials(path, described), described.factors) for path in imported}
    device = device_type(options.device_here)
    keep_memory()  # a single worker trains in this process
    measures = options.launcher != "slurm"  # on the machine that trains, or not at all
    experiment = options.begin(study, console, measure=measures, check=partial(check_runs, device=device))
    if study.budget == TIME and not experiment.shares:
        raise UserError(f"{study.path}: {UNMEASURED}")
    make_places(experiment)
    told = settle_folder(experiment, options)
    for text in told:
        say(f"note: {text}", console)
    record_plan(study, described, experiment.folder)
    begun = experiment
    if study.search is not None:
        found, status = run_search(experiment, options, console, owns_process=owns_process)
        if found is None:
            return status
        experiment = found
    table, controls = open_jobs(experiment, options, console)
    if tables:
        _import(tables, table, console)
    for job in (table, controls):
        _discard_damaged(job, console)
    say_untaken(table.experiment, table.queue.status(), console, " ".join(told))
    status = work_through((table, controls), options, console, owns_process=owns_process)
    is_over = status not in INTERRUPTED and not is_left_to_slurm((table, controls), options)
    return _finish(begun, table, controls, options, console) if is_over else status


def _check_launching(options: Options) -> None:
    """Refuse a launcher that cannot work, torchrun included, before anything is prepared."""
    if is_one_of_many():
        raise UserError(
            "run: torchrun starts several of it; let torchrun start 'cmae-ablate worker' with the same "
            "options, then call run by itself: it finds the cells complete and writes the tables"
        )
    if options.launcher == "slurm":
        require_sbatch()
    if options.launcher == "slurm" or (options.launcher == "ray" and "RAY_ADDRESS" in os.environ):
        places = Places.below(options.out, options.storage, options.tracking)
        check_databases(places.storage, places.tracking, options.launcher)


def open_jobs(experiment: Experiment, options: Options, console: Console) -> tuple[Job, Job]:
    """The study's cells and its controls, each with queue and tracker; says what the user should know."""
    controls = controls_of(experiment)
    for text in controls.notes:
        say(f"note: {text}", console)
    make_places(experiment, controls)
    table, apart = open_job(experiment), open_job(controls)
    for job in (table, apart):
        job.tracker.open_study(job.experiment.planned, _subject(job.experiment, options))
    return table, apart


def _finish(begun: Experiment, table: Job, controls: Job, options: Options, console: Console) -> int:
    """Write the report, say what came out, and end every run; the exit status.

    `begun` is the study as it began, without what a search has found.
    """
    jobs, experiment = (table, controls), table.experiment
    found = [StudyTrials.of(job.queue.status()) for job in jobs]
    with report_folder(begun, options) as told:  # until the runs, too, have the report's files
        for text in told:
            say(f"note: {text}", console)
        try:
            write_search(begun)
            files = report_study(experiment, found[0], found[1].statuses, options)
        except BaseException:
            for job in jobs:
                job.tracker.finish_study({}, "FAILED")
            raise
        say_report(files, experiment.study.question, experiment.folder, console)
        status = say_failures([each for trials in found for each in trials.statuses], console)
        if any(each.state == "WAITING" for trials in found for each in trials.statuses):
            say(ALL_GONE, console)
        paths = {**files.paths, "trials.csv": experiment.folder / "trials.csv"}
        for job, trials in zip(jobs, found, strict=True):
            state: Status = "FAILED" if status else "FINISHED"
            track_summary(trials, job.tracker, state, paths if job is table else None)
    say_where(experiment.places.backend, table.tracker, console)
    return status


def _discard_damaged(job: Job, console: Console) -> None:
    """Let complete cells whose files were damaged since be trained again, and say which file it is."""
    damaged = damaged_cells(job.experiment, job.queue.status())
    for error in damaged.values():
        say(f"note: {error}; its cell is made again", console)
    if damaged:
        job.queue.discard(damaged)


def run_search(
    experiment: Experiment, options: Options, console: Console, *, owns_process: bool = False
) -> tuple[Experiment | None, int]:
    """Tune every variant, and freeze the winners.

    Returns:
        The study with the winners' settings and 0; None and the exit status where there are no winners yet.
    """
    for note in few_images_note(experiment):
        say(f"note: {note}", console)
    tuning = tuning_of(experiment)
    make_places(tuning)
    job = open_job(tuning)
    job.tracker.open_study(tuning.planned, _subject(tuning, options))
    say_untaken(tuning, job.queue.status(), console)
    status = work_through((job,), options, console, owns_process=owns_process)
    statuses = job.queue.status()
    write_search(experiment)
    if status in INTERRUPTED or is_left_to_slurm((job,), options):
        return None, status
    won = winners(experiment, statuses)
    status = say_failures(statuses, console)
    track_summary(StudyTrials.of(statuses), job.tracker, "FINISHED" if won else "FAILED")
    if won is None:
        say(
            "no table yet: every variant needs all of its tuning trials, and one that came to its end; "
            f"see {experiment.folder / SEARCH_FILE}, narrow the space, and run the command again",
            console,
        )
        return None, 1
    chosen = {label: [dict(winner.settings) for winner in each] for label, each in won.items()}
    repeats = search_of(experiment).repeat
    job.queue.note("winners", chosen if repeats else {label: each[0] for label, each in chosen.items()})
    found = frozen(experiment, won)
    for note in found.notes:
        say(f"search: {note}", console)
    return found, 0


def _import(files: Mapping[str, list[TrialRow]], job: Job, console: Console) -> None:
    """Count what other machines have done; nothing is taken where two of them contradict each other."""
    study, queue = job.experiment.study, job.queue
    notes = check_rows(files, queue.status(gated=False), study.metric)
    taken = 0
    for name, rows in files.items():
        count = queue.import_complete(rows, study.metric, str(Path(name).resolve()))
        taken += count
        matching = sum(1 for _ in importable(rows, queue.cells, study.metric))
        say(import_line(name, len(rows), matching, count), console)
    statuses = queue.status()
    track_imported(statuses, job.tracker)
    if taken and lacks_predictions(job.experiment, statuses):
        notes += lost_by_import(study)
    for note in notes:
        say(f"note: {note}", console)


def _subject(experiment: Experiment, options: Options) -> Subject:
    study, tags = experiment.study, {"command": options.command, **describe_environment()}
    return Subject(study.question, study.metric, tags, variant_parameters(experiment))


def check_runs(experiment: Experiment, device: str) -> None:
    """Refuse a study of which a variant, a control, or an end of its search's space, cannot run.

    So, too, one whose recorded plan is damaged: its report, hours later, could not be made.
    """
    read_plan(experiment.folder / PLAN_FILE)
    smoke_pass(with_corners(experiment) if experiment.study.search else experiment, device)
    smoke_pass(controls_of(experiment), device)


def smoke_pass(experiment: Experiment, device: str = "cpu") -> None:
    """Take one step of every variant on noise, before anything is trained; build what is not trained at all.

    Args:
        experiment: The study, or its controls.
        device: Where its cells will run, `cpu` or `cuda`.

    Raises:
        UserError: A variant cannot be built or run, or its batch needs more images than there are.
    """
    steps = []
    try:
        for variant in experiment.variants:
            size = image_size_of(variant.spec, experiment.data_of(variant.spec))
            if variant.control in (RANDOM_INIT, EVALUATION):
                _build(variant, size)
            elif variant.control != RAW_PIXELS:
                check_batch(experiment.study, variant, len(experiment.data_of(variant.spec).train))
                steps.append(Rehearsal(variant.label, variant.spec, size))
        rehearse(steps, device)
    except UserError as error:
        raise UserError(f"{experiment.study.origin.file}: {error}") from error


def _build(variant: Variant, image_size: int) -> None:
    try:
        untrained_encoder(variant.spec, image_size)
    except UserError as error:
        raise UserError(f"variant '{variant.label}': {error}") from error
