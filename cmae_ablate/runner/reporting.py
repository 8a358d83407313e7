"""From what the queue knows to tables, figures and the last lines on the screen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console

from cmae_ablate.database import sqlite_path
from cmae_ablate.errors import UserError
from cmae_ablate.queue import CellStatus, Direction, Proposals, Queue, passed, read_status
from cmae_ablate.report import read_controls_beside, read_trials
from cmae_ablate.report.frame import ReportExtras, ReportFiles, StudyDescription
from cmae_ablate.report.searched import SEARCH_FILE, Searched, read_search_beside
from cmae_ablate.report.terminal import show_table
from cmae_ablate.report.wording import Metric
from cmae_ablate.runner import results
from cmae_ablate.runner.analysis_plan import PLAN_FILE, as_begun, read_plan, with_plan
from cmae_ablate.runner.environment import describe_environment
from cmae_ablate.runner.experiment import Experiment, Places, controls_of
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.own_logs import with_own_log
from cmae_ablate.runner.provenance import of_other_options, report_folder
from cmae_ablate.runner.results import StudyTrials
from cmae_ablate.runner.seed_planning import SeedGate, gate_of
from cmae_ablate.runner.setting import caveat, setting
from cmae_ablate.runner.tuning import frozen, search_frame, searched_keys, tuning_of
from cmae_ablate.runner.winners import winners
from cmae_ablate.study import design
from cmae_ablate.study.loading import Study
from cmae_ablate.study.resolved import resolved_file
from cmae_ablate.terminal import say, say_sentence

if TYPE_CHECKING:
    from cmae_ablate.report.settling import Settling


def open_queue(experiment: Experiment) -> Queue:
    """The study's queue; its storage is created if need be."""
    direction: Direction = "minimize" if Metric.named(experiment.study.metric).lower_is_better else "maximize"
    search = experiment.study.search if experiment.is_tuning else None
    return Queue(
        experiment.places.storage,
        experiment.study.name,
        experiment.planned,
        direction=direction,
        proposals=Proposals(search) if search else None,
        gate=_gate(experiment),
    )


def read_queue(experiment: Experiment) -> list[CellStatus]:
    """Where the study's cells stand, for who only looks: nothing is created or written."""
    return read_settling(experiment)[0]


def read_settling(experiment: Experiment) -> tuple[list[CellStatus], Settling | None]:
    """As `read_queue`, and where the study stands by its rule; None where the number of seeds is fixed."""
    known = read_status(experiment.places.storage, experiment.study.name, experiment.planned)
    found = [with_own_log(status, experiment.places.out) for status in known]
    gate = _gate(experiment)
    return passed(gate, found), None if gate is None else gate.settling(found)


def _gate(experiment: Experiment) -> SeedGate | None:
    """By the rule as the study's first run recorded it in what a study file does not say."""
    if experiment.study.rule is None:
        return None
    recorded = read_plan(experiment.folder / PLAN_FILE)
    return gate_of(as_begun(experiment.study, recorded), experiment.variants)


def settled(experiment: Experiment) -> Experiment:
    """The study that its table is made of: of a search, with the winners' settings.

    Raises:
        UserError: The tuning is not over.
    """
    if experiment.study.search is None:
        return experiment
    statuses = read_queue(tuning_of(experiment))
    won = winners(experiment, statuses)
    if won is None:
        done = sum(status.is_done for status in statuses)
        raise UserError(
            f"{experiment.study.path}: the search is not over, {done} of {len(statuses)} trials are done "
            "and the table begins with its winners: run the study first"
        )
    return frozen(experiment, won)


def write_search(experiment: Experiment) -> None:
    """Write this very study's `search.csv`: a command with other settings may have left its own there.

    Args:
        experiment: A study as it began; without a search there is nothing to write.
    """
    if experiment.study.search is not None:
        found = search_frame(experiment, read_queue(tuning_of(experiment)))
        results.write_csv(found, experiment.folder / SEARCH_FILE)


def report_study(
    experiment: Experiment, trials: StudyTrials, apart: Sequence[CellStatus], options: Options
) -> ReportFiles:
    """Write `trials.csv`, `controls.csv` and the report from what the queues know; nothing is computed.

    Args:
        experiment: The study.
        trials: Its cells.
        apart: Its controls.
        options: The command line's.
    """
    from cmae_ablate.report import write_report
    from cmae_ablate.runner.artifacts import artifacts

    redraws = experiment.study.redraws
    controls = results.controls_frame(experiment.variants, apart, trials.chosen, redraws=redraws)
    experiment.folder.mkdir(parents=True, exist_ok=True)
    results.write_csv(trials.frame, experiment.folder / "trials.csv")
    results.write_csv(controls, experiment.folder / "controls.csv")
    found = artifacts(experiment, trials, describe_environment(), options.command)
    searched, more = _searched_beside(experiment.folder / "trials.csv", experiment.study)
    found = replace(
        found,
        searched=searched,
        notes=(*found.notes, *more),
        study_file=resolved_file(experiment.study),
    )
    description = describe(experiment, trials)
    return write_report(description, trials.frame, controls, experiment.folder, artifacts=found)


def describe(experiment: Experiment, trials: StudyTrials) -> StudyDescription:
    """The study in the report's words, with what its cells know."""
    levels = {variant.label: variant.levels for variant in experiment.variants}
    found = results.describe(
        experiment.study, levels, experiment.reference, trials, experiment.shares, experiment.notes
    )
    # How the test images came about belongs to what a table means.
    notices = dict.fromkeys(text for data in experiment.data.values() for text in data.notices)
    data = list(experiment.data.values())
    begun = [s.started for s in trials.statuses if s.state == "COMPLETE" and s.started is not None]
    found = replace(
        found,
        notes=(*found.notes, *notices),
        trained_on=results.dataset_of(experiment.variants),
        setting=setting(experiment.variants, data, begun),
        caveat=caveat(experiment.variants),
    )
    return with_plan(found, experiment.study, read_plan(experiment.folder / PLAN_FILE))


def report_again(options: Options, console: Console) -> int:
    """`report STUDY.yaml`: the report of whatever is complete.

    Returns:
        0 when every cell and every control is complete, else 1.
    """
    study = options.load()
    if not has_state(options):
        return _say_nothing_ran(study, options, console)
    begun = options.begin(study, console)
    if others := of_other_options(begun, options):
        say(f"note: {others}", console)
    experiment = settled(begun)
    statuses, controls = read_queue(experiment), read_queue(controls_of(experiment))
    if not any(status.state == "COMPLETE" for status in statuses):
        say_failures(statuses, console)
        return _say_nothing_ran(study, options, console)
    if not os.access(experiment.folder, os.W_OK):
        _show_only(experiment, StudyTrials.of(statuses), controls, options, console)
        return say_failures([*statuses, *controls], console)
    with report_folder(begun, options) as told:
        for text in told:
            say(f"note: {text}", console)
        write_search(begun)
        files = report_study(experiment, StudyTrials.of(statuses), controls, options)
    say_report(files, study.question, experiment.folder, console)
    return say_failures([*statuses, *controls], console)


def _show_only(
    experiment: Experiment,
    trials: StudyTrials,
    apart: Sequence[CellStatus],
    options: Options,
    console: Console,
) -> None:
    """The report of a folder that may not be written to: on the screen alone."""
    with TemporaryDirectory(prefix="cmae-ablate-") as place:
        aside = replace(experiment, places=replace(experiment.places, out=Path(place)))
        aside.folder.mkdir(parents=True)
        for name in (PLAN_FILE, SEARCH_FILE):
            if (experiment.folder / name).is_file():
                shutil.copy(experiment.folder / name, aside.folder)
        files = report_study(aside, trials, apart, options)
        say_report(files, experiment.study.question, experiment.folder, console)
    say(
        f"note: {experiment.folder} cannot be written to, so what lies there is as it was; tables elsewhere: "
        f"cmae-ablate report {options.study} --trials {experiment.folder / 'trials.csv'} --out DIR",
        console,
    )


def report_csv(options: Options, trials: Path, console: Console) -> int:
    """`report STUDY.yaml --trials CSV --out DIR`: tables and figures from a CSV alone, straight into DIR.

    Raises:
        UserError: The CSV is not what a study writes.
    """
    from cmae_ablate.report import write_report
    from cmae_ablate.report.progress_csv import read_progress_beside

    study = options.load()
    description = with_plan(_with_setting(study), study, read_plan(trials.with_name(PLAN_FILE)))
    table = read_trials(trials, description)
    controls, notes = read_controls_beside(trials, table, description)
    progress, more = read_progress_beside(trials, description)
    searched, left_out = _searched_beside(trials, study)
    extras = ReportExtras(
        progress=progress,
        searched=searched,
        notes=(*notes, *more, *left_out),
        study_file=resolved_file(study),
    )
    files = write_report(description, table, controls, options.out, artifacts=extras)
    say_report(files, study.question, options.out, console)
    return 0


def _searched_beside(trials: Path, study: Study) -> tuple[Searched | None, tuple[str, ...]]:
    """The tuning trials of a study with a search, and a sentence where they are not there."""
    if study.search is None or len(study.search.space) < 2:
        return None, ()
    return read_search_beside(trials, study.search.metric, searched_keys(study.search))


def describe_unread(study: Study) -> StudyDescription:
    """The study in the report's words, without its data and its cells."""
    levels = {design.label_of(chosen): chosen for chosen in design.combinations(study)}
    return results.describe(study, levels, design.reference_label(study))


def _with_setting(study: Study) -> StudyDescription:
    """`describe_unread`, with what the study file says of data and training."""
    try:
        variants = design.variants(study)
    except UserError:  # nothing is trained: a CSV is reported whatever has become of its variants
        return describe_unread(study)
    return replace(describe_unread(study), setting=setting(variants), caveat=caveat(variants))


def has_state(options: Options) -> bool:
    """Whether anything can have run: a database that a server keeps is asked, not looked for."""
    storage = Places.below(options.out, options.storage, options.tracking).storage
    database = sqlite_path(storage)
    return database is None or database.is_file()


def _say_nothing_ran(study: Study, options: Options, console: Console) -> int:
    say(f"{study.name}: nothing is complete yet in {options.out}; run it first: {options.command}", console)
    return 1


def say_report(files: ReportFiles, question: str, folder: Path, console: Console) -> None:
    """Print the table, the answer, and what a reader must know."""
    show_table(files.table, question, console)
    naming = f"variants are {files.naming}" if files.naming else ""
    for text in filter(None, (naming, files.marks)):
        say_sentence(text, console)
    verdict, *lines = files.answer.split("\n")
    say_sentence(verdict, console, style="bold")
    for text in (*lines, *(f"note: {note}" for note in files.notes)):
        say_sentence(text, console)
    say(f"tables and figures: {folder / 'index.html'}", console)


def say_failures(statuses: Sequence[CellStatus], console: Console) -> int:
    """Name each cell that is not complete, with its reason and log.

    Returns:
        The exit status: 0 when there is none, else 1.
    """
    open_cells = [status for status in statuses if not status.is_done]
    for status in open_cells:
        why = f": {status.reason}; log: {status.log}" if status.reason else ""
        say(f"{status.state.lower()}: {status.cell.variant}, seed {status.cell.seed}{why}", console)
    return 1 if open_cells else 0
