"""`status`: where each cell of a study stands."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rich.console import Console

from cmae_ablate.cli.fitting import fits
from cmae_ablate.cli.plan import duration
from cmae_ablate.cli.seeds_told import told_of
from cmae_ablate.queue import CellStatus
from cmae_ablate.report.terminal import show_table
from cmae_ablate.report.wording import counted
from cmae_ablate.runner.budget import TIME
from cmae_ablate.runner.experiment import Experiment, controls_of
from cmae_ablate.runner.housekeeping import cache_line
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.progress import NOTES, read_notes
from cmae_ablate.runner.provenance import of_other_options
from cmae_ablate.runner.reporting import has_state, read_queue, read_settling
from cmae_ablate.runner.tuning import frozen, tuning_folder, tuning_of
from cmae_ablate.runner.untaken import say_untaken
from cmae_ablate.runner.watchdog import clock
from cmae_ablate.runner.winners import winners
from cmae_ablate.study import design
from cmae_ablate.study.search import Search
from cmae_ablate.terminal import Column, lost_output, say, say_sentence, say_table

if TYPE_CHECKING:
    from cmae_ablate.report.settling import Settling

OPEN = ("RUNNING", "WAITING")
REFRESH_SECONDS = 2.0
NUMBERS = ("seed", "attempts")


@dataclass(frozen=True)
class Standing:
    """Where a study stands.

    Attributes:
        tuning: The trials of its search, if it has one.
        cells: The table's cells; empty while a search has no winners yet.
        controls: The cells of its controls; empty likewise.
        has_table: Whether the table's cells are known.
        notes: What the search chose.
        settling: How far the contrasts are, where seeds are added by a rule.
        stalled: Since when (seconds since 1970) running cells have taken no step, where that is unusually
            long, by id.
    """

    tuning: Sequence[CellStatus]
    cells: Sequence[CellStatus]
    controls: Sequence[CellStatus]
    has_table: bool = True
    notes: tuple[str, ...] = ()
    settling: Settling | None = None
    stalled: Mapping[str, float] = field(default_factory=dict)

    @property
    def all(self) -> list[CellStatus]:
        """Every cell of every kind."""
        return [*self.tuning, *self.cells, *self.controls]

    @property
    def left(self) -> int:
        """How many of the cells that are known are still to be done."""
        return sum(each.state in OPEN for each in self.all)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that any worker would take."""
        return not self.left and (self.has_table or any(each.state == "FAILED" for each in self.tuning))


def show_status(options: Options, console: Console) -> None:
    """Print where each cell stands, with log and failures, and the space that the cache takes."""
    experiment = begun(options, console)
    if experiment is not None:
        _show(look(experiment), experiment, options, console)


def watch_status(
    options: Options, console: Console, *, pause: Callable[[float], object] = time.sleep
) -> None:
    """Print where each cell stands until nothing is left.

    A terminal is refreshed; elsewhere everything is printed again when the state of a cell has changed.
    """
    experiment: Experiment | None = None
    told, before = "", None
    while True:
        if experiment is None:
            with console.capture() as said:
                experiment = begun(options, console)
            if said.get() != told:
                told = said.get()
                say(told, console, end="")
        if experiment is not None:
            found = look(experiment)
            states = [each.state for each in found.all]
            if console.is_terminal or states != before:
                console.clear()  # of a terminal alone
                _show(found, experiment, options, console)
            if found.is_over:
                return
            before = states
            if experiment.study.budget == TIME and not experiment.shares:
                experiment = None  # its cells are known once the time is measured
        if lost_output() is not None:
            return  # nobody looks any more
        pause(REFRESH_SECONDS)


def begun(options: Options, console: Console) -> Experiment | None:
    """The study with its data; None, and a word about it, where nothing can have run yet."""
    study = options.load()
    design.variants(study)
    if has_state(options):
        return options.begin(study, console)
    say(f"{study.name}: nothing has run yet in {options.out.resolve()}", console)
    return None


def look(experiment: Experiment) -> Standing:
    """Ask the queues where the study stands, and the notes of its workers whether they get on."""
    found = _ask(experiment)
    running = {each.cell.id for each in found.all if each.state == "RUNNING"}
    return replace(found, stalled={cell: at for cell, at in _stalled(experiment) if cell in running})


def _ask(experiment: Experiment) -> Standing:
    tuning: Sequence[CellStatus] = ()
    if experiment.study.search is not None:
        tuning = read_queue(tuning_of(experiment))
        won = winners(experiment, tuning)
        if won is None:
            return Standing(tuning, (), (), has_table=False)
        experiment = frozen(experiment, won)
    controls = read_queue(controls_of(experiment))
    cells, settling = read_settling(experiment)
    return Standing(tuning, cells, controls, notes=experiment.notes, settling=settling)


def _stalled(experiment: Experiment) -> Iterator[tuple[str, float]]:
    """The cells that have taken no step for long, with the time of their last."""
    for folder in (experiment.folder, tuning_folder(experiment)):
        for note in read_notes(folder / NOTES):
            if note.stalled(time.time()) is not None:
                yield note.cell, note.at


def _show(found: Standing, experiment: Experiment, options: Options, console: Console) -> None:
    others = of_other_options(experiment, options)
    if others:
        say(others, console)
    study = experiment.study
    if study.search is not None:
        _show_search(found, experiment, study.search, console)
        if not found.has_table:
            return
    say_untaken(experiment, found.cells, console, others)
    if others and all(status.trial is None for status in found.cells):
        say("nothing has run with the options given now", console)
        return
    _show_cells([*found.cells, *found.controls], study.metric, console, found.stalled)
    done = [status for status in found.cells if status.state == "COMPLETE"]
    reused = sum(status.record.reused for status in done)
    say(
        f"{len(done)} of {len(found.cells)} cells complete, {reused} with reused pretraining; "
        f"{sum(status.is_done for status in found.controls)} of {len(found.controls)} controls complete",
        console,
    )
    if found.settling is not None and study.rule is not None:
        for line in told_of(found.settling, study.rule):
            say_sentence(line, console)
    say(cache_line(experiment.places.out, study.name), console)
    later = "" if found.settling is None or found.settling.is_over else "; more where a contrast stays open"
    say(f"{_time_left(found.cells, found.controls)}{later}", console)


def _show_search(found: Standing, experiment: Experiment, search: Search, console: Console) -> None:
    """Print where each tuning trial stands, and what the winners are once there are any."""
    trials = found.tuning
    say_untaken(tuning_of(experiment), trials, console)
    _show_cells(trials, search.metric, console, found.stalled)
    done = sum(status.is_done for status in trials)
    pruned = sum(status.state == "PRUNED" for status in trials)
    say(f"{done} of {len(trials)} trainings to tune done, {pruned} of them pruned", console)
    if not found.has_table:
        say(f"{_time_left(trials)}; the table's cells come after the winners", console)
    for note in found.notes:
        say_sentence(f"search: {note}", console)


def _show_cells(
    statuses: Sequence[CellStatus], metric: str, console: Console, stalled: Mapping[str, float]
) -> None:
    header = ("variant", "seed", "state", metric, "attempts", "worker", "last heartbeat", "log or reason")
    rows = [_status_row(each, stalled.get(each.cell.id)) for each in statuses]
    # A path that is folded cannot be copied: it stands whole in the table, or below it.
    columns = [*(Column(title, is_number=title in (metric, *NUMBERS)) for title in header[:-1])]
    if fits(header, rows, console):
        say_table([*columns, Column(header[-1], in_one_piece=True)], rows, console)
        return
    cells = [f"{variant}, seed {seed}" for variant, seed, *_ in rows]
    if fits(header[:-1], [row[:-1] for row in rows], console):
        say_table(columns, [row[:-1] for row in rows], console)
    else:
        told = [e for e in zip(header[2:-1], *(row[2:-1] for row in rows), strict=True) if any(e[1:])]
        show_table(list(zip(("cell", *cells), *told, strict=True)), "", console)
    logs: dict[str, list[str]] = {}
    for cell, row in zip(cells, rows, strict=True):
        logs.setdefault(row[-1], []).append(cell)
    for text, named in logs.items():
        if text:
            say(f"{text}\n  {'; '.join(named)}", console)


def _status_row(status: CellStatus, stalled: float | None) -> list[str]:
    silence = "" if stalled is None else f"no step since {clock(stalled)}, see the log:"
    return [
        status.cell.variant,
        str(status.cell.seed),
        status.state.lower(),
        "" if status.value is None else f"{status.value:.2f}",
        str(status.attempts),
        status.worker or "",
        "" if status.lease_age is None else f"{status.lease_age:.0f} s ago",
        " ".join(part for part in (silence, status.reason, status.log) if part),
    ]


def _time_left(*groups: Sequence[CellStatus]) -> str:
    left = sum(each.state in OPEN for group in groups for each in group)
    hours = hours_left(*groups)
    if not left:
        return "nothing is left to train"
    if hours is None:
        return f"{counted(left, 'cell')} left; the first finished cell will tell how long they take"
    return f"{counted(left, 'cell')} left, about {duration(hours)} of pretraining"


def hours_left(*groups: Sequence[CellStatus]) -> float | None:
    """What is left of each group, each cell as long as the complete ones of its kind; None if none is.

    An imported cell tells nothing: it took its time on another machine.
    """
    lefts = [sum(each.state in OPEN for each in group) for group in groups]
    known = [
        [
            each.record.metrics.get("seconds.pretrain", 0.0)
            for each in group
            if each.state == "COMPLETE" and each.record.folder is not None
        ]
        for group in groups
    ]
    all_known = [seconds for found in known for seconds in found]
    if not all_known:
        return None if any(lefts) else 0.0
    means = [statistics.mean(found or all_known) for found in known]
    return sum(count * mean for count, mean in zip(lefts, means, strict=True)) / 3600
