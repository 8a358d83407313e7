"""What MLflow is told of a study's results, once its table is made."""

from __future__ import annotations

from collections.abc import Sequence

from cmae_ablate.queue import CellStatus
from cmae_ablate.report.selection import is_candidate
from cmae_ablate.runner.results import StudyTrials
from cmae_ablate.tracking import Tracker
from cmae_ablate.tracking.tracker import CellId, Status


def track_summary(trials: StudyTrials, tracker: Tracker, status: Status) -> None:
    """Give each variant's MLflow run its mean, standard deviation and count, and end all runs so.

    Runs of cells get what the study chose for all of them: see `selection`.
    """
    import pandas as pd

    tracker.settle_cells(settled_numbers(trials))
    complete = trials.frame[trials.frame["state"] == "COMPLETE"]
    numbers = [
        name for name in complete.select_dtypes("number") if name != "seed" and not is_candidate(str(name))
    ]
    summary = {
        str(variant): {
            f"{name}.{kind}": float(value)
            for name in numbers
            for kind, value in rows[name].agg(["mean", "std", "count"]).rename({"count": "n"}).items()
            if pd.notna(value)  # one seed has no standard deviation
        }
        for variant, rows in complete.groupby("variant", sort=False)
    }
    tracker.finish_study(summary, status)


def settled_numbers(trials: StudyTrials) -> dict[CellId, dict[str, float]]:
    """What cells with a choice of settings are read at, by variant, seed and fingerprint."""
    import pandas as pd

    frame = trials.frame
    names = [
        str(name)
        for name in frame
        if str(name).rpartition(".")[0] in trials.chosen and not is_candidate(str(name))
    ]
    found = {}
    for row in frame[frame["state"] == "COMPLETE"].to_dict("records") if names else ():
        key = (str(row["variant"]), int(row["seed"]), str(row["fingerprint"]))
        found[key] = {name: float(row[name]) for name in names if pd.notna(row[name])}
    return found


def track_imported(statuses: Sequence[CellStatus], tracker: Tracker) -> None:
    """Give each imported cell a run of its own, as a cell that was trained here has."""
    for status in statuses:
        if status.state != "COMPLETE" or status.record.folder is not None:
            continue
        cell = status.cell
        tags = {"fingerprint": cell.fingerprint, "imported": "true"}
        run = tracker.start_cell(cell.variant, cell.seed, dict(cell.levels), tags)
        run.log_metrics(0, status.record.metrics)
        run.finish("FINISHED")
