"""A study on its data sets: one, or several one after the other and then pooled in the study's own folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from cmae_ablate.distributed import is_one_of_many
from cmae_ablate.errors import UserError
from cmae_ablate.files import private_files
from cmae_ablate.queue import PlannedCell
from cmae_ablate.report.frame import ReportFiles
from cmae_ablate.report.wording import counted
from cmae_ablate.runner.across import copied_trials, has_open_cells, part_of
from cmae_ablate.runner.environment import describe_environment
from cmae_ablate.runner.experiment import Experiment, Places, controls_of
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.reporting import has_state, read_queue, report_again, say_report, settled
from cmae_ablate.runner.run_links import say_where
from cmae_ablate.runner.summaries import track_pooled
from cmae_ablate.study import design
from cmae_ablate.terminal import say
from cmae_ablate.tracking.tracker import Status, Subject

if TYPE_CHECKING:  # imported where a page is made
    from cmae_ablate.report import StudyPart


def run_data_sets(
    options: Options, console: Console, imported: Sequence[Path] = (), *, owns_process: bool = False
) -> int:
    """Train what is missing on each data set, then report each, and several together.

    Everything is checked for all data sets before the first is trained on.

    Args:
        options: The command line's.
        console: Where to say things.
        imported: As for `run_study`, of a study on one data set.
        owns_process: As for `run_study`.

    Returns:
        As `run_study`; of several data sets 1 where any has a cell that failed for good.

    Raises:
        UserError: The study is wrong, or two data sets hold the same images.
    """
    from cmae_ablate.runner.run import check_runs, run_study
    from cmae_ablate.runner.workers import INTERRUPTED
    from cmae_ablate.runtime import device_type

    parts, worst = options.parts, 0
    if len(parts) == 1:
        return run_study(options, console, imported, owns_process=owns_process)
    check_images(parts, console, partial(check_runs, device=device_type(options.device_here)))
    for number, part in enumerate(parts, start=1):
        say(f"data set {number} of {len(parts)}: {part.dataset}", console, style="bold")
        status = run_study(part, console, owns_process=owns_process)
        if status in INTERRUPTED:
            return status
        worst = max(worst, status)
    if options.no_wait and any(_has_work_left(part) for part in parts):
        return worst
    pooled = report_pooled(parts, console)
    if pooled is None:
        return 1
    track_pooled_report(options, pooled.files, "FAILED" if worst else "FINISHED", console)
    return worst


def _has_work_left(part: Options) -> bool:
    """Whether something of a data set's is neither complete nor failed for good."""
    begun = part.begin(part.load(), Console(quiet=True))  # what it says was said before
    try:
        experiment = settled(begun)
    except UserError:
        return True  # its search is not over
    statuses = [*read_queue(experiment), *read_queue(controls_of(experiment))]
    return any(status.state in ("RUNNING", "WAITING") for status in statuses)


def check_images(parts: Sequence[Options], console: Console, check: Callable[[Experiment], None]) -> None:
    """Prepare the data of all, and refuse the same images under two labels, wherever they lie.

    Args:
        parts: The study on each data set.
        console: Where to say things.
        check: What else is checked of each, before anything is trained.

    Raises:
        UserError: Two labels have the same images, or something else is wrong.
    """
    seen: dict[str, str] = {}
    for part in parts:
        study = part.load()
        experiment = part.begin(study, console, check=check)
        for data in experiment.data.values():
            twin = seen.setdefault(data.digest, study.name)
            if twin != study.name:
                raise UserError(
                    f"{study.path}: datasets.{part.dataset}: its images are those of '{twin}'; "
                    "a data set counts once: remove one"
                )


def report_data_sets(options: Options, console: Console) -> int:
    """`report` of a study: of each of its data sets, then of several together.

    Of a data set whose `trials.csv` was copied from another machine the report is what was copied with it.

    Returns:
        0 when every cell and every control is complete, else 1; of what was copied, every cell.
    """
    if len(options.parts) == 1:
        return report_again(options, console)
    worst = 0
    for part in options.parts:
        if has_state(part) or not copied_trials(part).is_file():
            worst = max(worst, report_again(part, console))
    pooled = report_pooled(options.parts, console)
    return 1 if pooled is None else max(worst, *(int(has_open_cells(each)) for each in pooled.parts))


@dataclass(frozen=True)
class PooledReport:
    """The page over all data sets, with what it was made from: the study on each, as it was read."""

    files: ReportFiles
    parts: Sequence[StudyPart]


@private_files()
def report_pooled(parts: Sequence[Options], console: Console) -> PooledReport | None:
    """Write the page over all data sets; a note, and None, where one of them has nothing complete yet."""
    from cmae_ablate.report import write_pooled

    first = parts[0].load()
    found, missing = {}, []
    for part in parts:
        try:
            found[str(part.dataset)] = part_of(part, console)
        except UserError as error:
            missing.append(part.dataset)
            say(f"note: {error}", console)
    if missing:
        say(f"{first.group}: no page over all data sets yet", console)
        return None
    folder = parts[0].out.resolve() / first.group
    files = write_pooled(first.group, found, folder)
    say_report(files, f"{first.question}  ({counted(len(parts), 'data set')})", folder, console)
    return PooledReport(files, [*found.values()])


@private_files()
def track_pooled_report(options: Options, files: ReportFiles, status: Status, console: Console) -> None:
    """Give the page over all data sets a run of its own, beside the studies that it pools."""
    parts = [part.load() for part in options.parts]
    first, variants = parts[0], [variant.label for variant in design.variants(parts[0])]
    places = Places.below(options.out, options.storage, options.tracking)
    tracker = places.backend.open(places.out, first.group)
    tags = {"command": options.command, "pools": ", ".join(study.name for study in parts)}
    # No cell has its run here; named are the variants that the study has now.
    cells = [PlannedCell("", variant, 0, {}, "") for variant in variants]
    tracker.open_study(cells, Subject(first.question, first.metric, tags | describe_environment()))
    track_pooled(variants, tracker, status, files.paths)
    say_where(places.backend, tracker, console)


def work_on_data_sets(options: Options, console: Console) -> int:
    """One more worker for each data set in turn.

    Returns:
        As `work`.

    Raises:
        UserError: torchrun started several, which join one data set's cells.
    """
    from cmae_ablate.runner.launch.local import follows_parent
    from cmae_ablate.runner.launch.slurm import go_back_to_the_queue, is_task
    from cmae_ablate.runner.stopping import StopFlag, catching_signals
    from cmae_ablate.runner.workers import work

    if is_one_of_many():
        options.alone("worker")
    flag, status = StopFlag(), 0
    with catching_signals(flag, follows=follows_parent() or is_one_of_many() or is_task()):
        for part in options.parts:
            status = status or work(part, console, flag)
        go_back_to_the_queue(status)
    return status
