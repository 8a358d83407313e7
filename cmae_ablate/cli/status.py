"""`status`: where each cell of a study stands."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from cmae_ablate.cli.plan import duration
from cmae_ablate.queue import CellStatus
from cmae_ablate.runner.experiment import Experiment, controls_of
from cmae_ablate.runner.housekeeping import cache_line
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.provenance import of_other_options
from cmae_ablate.runner.reporting import has_state, open_queue
from cmae_ablate.runner.tuning import frozen, tuning_of
from cmae_ablate.runner.winners import winners
from cmae_ablate.study import design
from cmae_ablate.study.search import Search


def show_status(options: Options, console: Console) -> None:
    """Print where each cell stands, with log and failures, and the space that the cache takes."""
    study = options.load()
    design.variants(study)
    if not has_state(options):
        console.print(f"{study.name}: nothing has run yet in {options.out.resolve()}", highlight=False)
        return
    experiment = options.begin(study, console)
    others = of_other_options(experiment, options)
    if others:
        console.print(others, highlight=False, markup=False, soft_wrap=True)
    if study.search is not None:
        found = _show_search(experiment, study.search, console)
        if found is None:
            return
        experiment = found
    statuses = open_queue(experiment).status()
    if others and all(status.trial is None for status in statuses):
        console.print("nothing has run with the options given now", highlight=False)
        return
    controls = open_queue(controls_of(experiment)).status()
    _show_cells([*statuses, *controls], study.metric, console)
    done = [status for status in statuses if status.state == "COMPLETE"]
    reused = sum(bool(status.results.get("reused")) for status in done)
    console.print(
        f"{len(done)} of {len(statuses)} cells complete, {reused} with reused pretraining; "
        f"{sum(status.is_done for status in controls)} of {len(controls)} controls complete",
        highlight=False,
        soft_wrap=True,
    )
    console.print(cache_line(experiment.places.out, study.name), highlight=False, soft_wrap=True)
    console.print(_time_left(statuses, controls), highlight=False)


def _show_search(experiment: Experiment, search: Search, console: Console) -> Experiment | None:
    """Print where each tuning trial stands; the study with its winners, once there are any."""
    trials = open_queue(tuning_of(experiment)).status()
    _show_cells(trials, search.metric, console)
    done = sum(status.is_done for status in trials)
    pruned = sum(status.state == "PRUNED" for status in trials)
    console.print(f"{done} of {len(trials)} trainings to tune done, {pruned} of them pruned", highlight=False)
    won = winners(experiment, trials)
    if won is None:
        console.print(f"{_time_left(trials)}; the table's cells come after the winners", highlight=False)
        return None
    found = frozen(experiment, won)
    for note in found.notes:
        console.print(f"search: {note}", highlight=False, markup=False)
    return found


def _show_cells(statuses: Sequence[CellStatus], metric: str, console: Console) -> None:
    table = Table("variant", "seed", "state", metric, "attempts", "worker", "last heartbeat", "log or reason")
    for status in statuses:
        table.add_row(*_status_row(status))
    console.print(table)


def _status_row(status: CellStatus) -> list[str]:
    return [
        status.cell.variant,
        str(status.cell.seed),
        status.state.lower(),
        "" if status.value is None else f"{status.value:.2f}",
        str(status.attempts),
        status.worker or "",
        "" if status.lease_age is None else f"{status.lease_age:.0f} s ago",
        " ".join(part for part in (status.reason, status.log) if part),
    ]


def _time_left(*groups: Sequence[CellStatus]) -> str:
    """What is left of the cells and of the controls, each as long as those of its kind that are complete."""
    lefts = [sum(each.state in {"RUNNING", "WAITING"} for each in group) for group in groups]
    known = [[_seconds(each) for each in group if each.state == "COMPLETE"] for group in groups]
    left, all_known = sum(lefts), [seconds for found in known for seconds in found]
    if not left:
        return "nothing is left to train"
    if not all_known:
        return f"{left} cells left; the first finished cell will tell how long they take"
    seconds = sum(
        count * statistics.mean(found or all_known) for count, found in zip(lefts, known, strict=True)
    )
    return f"{left} cells left, about {duration(seconds / 3600)} of pretraining"


def _seconds(status: CellStatus) -> float:
    metrics = status.results.get("metrics")
    value = metrics.get("seconds.pretrain", 0.0) if isinstance(metrics, dict) else 0.0
    return float(value) if isinstance(value, int | float) else 0.0
