"""From what the queue knows to tables, figures, MLflow summaries and the last lines on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from cmae_ablate import design, results
from cmae_ablate.campaign import Campaign
from cmae_ablate.environment import describe_environment
from cmae_ablate.options import Options
from cmae_ablate.queue import CellStatus, Queue
from cmae_ablate.report import read_controls, read_trials, write_report
from cmae_ablate.report.frame import ReportFiles
from cmae_ablate.runtime import Runtime, pick_device
from cmae_ablate.tracking import Tracker


def open_queue(campaign: Campaign) -> Queue:
    """The study's queue; its storage is created if need be."""
    return Queue(
        campaign.places.storage,
        campaign.study.name,
        campaign.planned,
        direction="minimize" if campaign.study.metric.endswith("loss") else "maximize",
    )


def report_study(campaign: Campaign, queue: Queue, options: Options) -> ReportFiles:
    """Write `trials.csv`, `controls.csv` and the report from what the queue knows."""
    statuses = queue.status()
    trials = results.trials_frame(statuses)
    controls = results.controls_frame(campaign, Runtime(pick_device(options.device)))
    campaign.folder.mkdir(parents=True, exist_ok=True)
    trials.to_csv(campaign.folder / "trials.csv", index=False)
    controls.to_csv(campaign.folder / "controls.csv", index=False)
    levels = {variant.label: variant.levels for variant in campaign.variants}
    description = results.describe(campaign.study, levels, campaign.reference, statuses)
    found = results.extras(campaign, statuses, describe_environment(), options.command)
    return write_report(description, trials, controls, campaign.folder, artefacts=found)


def report_again(options: Options, console: Console) -> int:
    """`report STUDY.yaml`: the report of whatever is complete.

    Returns:
        0 when every cell is complete, else 1.
    """
    campaign = options.begin(options.load(), console)
    queue = open_queue(campaign)
    files = report_study(campaign, queue, options)
    say(files, campaign.study.question, campaign.folder, console)
    return say_failures(queue.status(), console)


def report_csv(options: Options, trials: Path, console: Console) -> int:
    """`report STUDY.yaml --trials CSV --out DIR`: tables and figures from a CSV alone, straight into DIR.

    Raises:
        UserError: The CSV is not what a study writes.
    """
    study = options.load()
    levels = {" + ".join(chosen.values()): chosen for chosen in design.combinations(study)}
    description = results.describe(study, levels, design.reference_label(study))
    beside = trials.with_name("controls.csv")
    controls = read_controls(beside, description) if beside.is_file() else None
    files = write_report(description, read_trials(trials, description), controls, options.out)
    say(files, study.question, options.out, console)
    return 0


def track_summary(trials: pd.DataFrame, tracker: Tracker) -> None:
    """Give each variant's MLflow run its mean, standard deviation and count, and finish all runs."""
    complete = trials[trials["state"] == "COMPLETE"]
    numbers = [name for name in complete.select_dtypes("number") if name != "seed"]
    summary = {
        str(variant): {
            f"{name}.{kind}": float(value)
            for name in numbers
            for kind, value in rows[name].agg(["mean", "std", "count"]).rename({"count": "n"}).items()
            if pd.notna(value)  # one seed has no standard deviation
        }
        for variant, rows in complete.groupby("variant", sort=False)
    }
    tracker.finish_study(summary)


def track_imported(statuses: Sequence[CellStatus], tracker: Tracker) -> None:
    """Give each imported cell a run of its own, as a cell that was trained here has."""
    for status in statuses:
        metrics = status.results.get("metrics")
        if status.state != "COMPLETE" or "folder" in status.results or not isinstance(metrics, Mapping):
            continue
        cell = status.cell
        tags = {"fingerprint": cell.fingerprint, "imported": "true"}
        run = tracker.start_cell(cell.variant, cell.seed, dict(cell.levels), tags)
        run.log_metrics(0, {name: float(str(value)) for name, value in metrics.items()})
        run.finish("FINISHED")


def say(files: ReportFiles, question: str, folder: Path, console: Console) -> None:
    """Print the table, the answer, and what a reader must know."""
    header, *rows = files.table
    table = Table(*(Column(Text(name)) for name in header), title=Text(question))
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
    console.print(files.answer, highlight=False, markup=False)
    for note in files.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print(
        f"tables and figures: {folder / 'index.html'}", highlight=False, markup=False, soft_wrap=True
    )


def say_failures(statuses: Sequence[CellStatus], console: Console) -> int:
    """Name each cell that is not complete, with its reason and log.

    Returns:
        The exit status: 0 when there is none, else 1.
    """
    open_cells = [status for status in statuses if status.state != "COMPLETE"]
    for status in open_cells:
        why = f": {status.reason}; log: {status.log}" if status.reason else ""
        console.print(
            f"{status.state.lower()}: {status.cell.variant}, seed {status.cell.seed}{why}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    return 1 if open_cells else 0
