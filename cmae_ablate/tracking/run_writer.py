"""Writes what a cell's run has to tell to MLflow; to write it twice changes nothing."""

from __future__ import annotations

import logging
import math
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cmae_ablate.report.selection import is_candidate
from cmae_ablate.tracking.run_tree import FINGERPRINT, RunTree

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

LOGGER = logging.getLogger(__name__)
BATCH = 100
NAME_CHARACTERS, VALUE_CHARACTERS = 250, 6000  # MLflow's limits

Kind = Literal["start", "metrics", "results", "text", "artifact", "finish"]


@dataclass(frozen=True)
class Entry:
    """One thing to tell.

    Attributes:
        kind: What it is.
        time: Milliseconds since 1970 at which it happened.
        step: Epoch of `metrics`, last epoch before `results`.
        name: File name of `text`, source path of `artifact`, status of `finish`.
        text: Content of `text`, folder of `artifact`.
        values: Metrics of `metrics` and `results`.
        params: Parameters of `start`.
        tags: Tags of `start`; they and the next two say which cell it is.
        variant: Of `start`.
        seed: Of `start`.
    """

    kind: Kind
    time: int
    step: int = 0
    name: str = ""
    text: str = ""
    values: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    variant: str = ""
    seed: int = 0


class RunWriter:
    """Writes entries to a run that exists.

    A cell that is trained again, its weights having been damaged, say, ends with its new numbers: what a run
    has is known by its value, too.

    Args:
        run_id: The run.
        seen: What the run already has, by metric and step.
    """

    def __init__(self, run_id: str, seen: dict[tuple[str, int], float]) -> None:
        self._run_id = run_id
        self._seen = seen

    @classmethod
    def open(cls, tree: RunTree, start: Entry) -> RunWriter:
        """Find or create the cell's run, and give it the parameters and tags that it lacks."""
        from mlflow.entities import Param, RunTag

        run_id, existed = tree.seed_run(start.variant, start.seed, start.tags.get(FINGERPRINT, ""))
        tree.set_running(start.variant, run_id)
        client = tree.client
        seen: dict[tuple[str, int], float] = {}
        present: set[str] = set()
        if existed:
            data = client.get_run(run_id).data
            present = set(data.params)
            for key in data.metrics:
                history = sorted(client.get_metric_history(run_id, key), key=lambda metric: metric.timestamp)
                seen |= {(key, metric.step): metric.value for metric in history}
        # A parameter cannot be changed: a resumed run keeps those it started with.
        params = [Param(key, value) for key, value in _legal(start.params) if key not in present]
        tags = [RunTag(key, value) for key, value in _legal(start.tags)]
        for first in range(0, max(len(params), len(tags)), BATCH):
            client.log_batch(run_id, params=params[first : first + BATCH], tags=tags[first : first + BATCH])
        return cls(run_id, seen)

    def write(self, client: MlflowClient, entry: Entry) -> None:
        """Write one entry; to write it again changes nothing.

        Raises:
            Exception: As `connection.connect`.
        """
        if entry.kind in ("metrics", "results"):
            self._write_metrics(client, entry)
        elif entry.kind == "text":
            client.log_text(self._run_id, entry.text, entry.name)
        elif entry.kind == "artifact":
            if Path(entry.name).is_file():
                client.log_artifact(self._run_id, entry.name, entry.text or None)
            else:
                LOGGER.warning("tracking: %s is gone and was not logged", entry.name)
        elif entry.kind == "finish":
            client.set_terminated(self._run_id, entry.name, end_time=entry.time)

    def _write_metrics(self, client: MlflowClient, entry: Entry) -> None:
        from mlflow.entities import Metric

        # The other settings that an evaluation may be read at stand in trials.csv; here they would be noise.
        named = {metric_name(name): value for name, value in entry.values.items() if not is_candidate(name)}
        # A result ends its curve, where it has one; else it has no epoch, and MLflow draws a bar, not a dot.
        curves = {name for name, step in self._seen if step} if entry.kind == "results" else set(named)
        steps = {name: entry.step if name in curves else 0 for name in named}
        new = {
            name: value
            for name, value in named.items()
            if not _has(self._seen.get((name, steps[name])), value)
        }
        metrics = [Metric(name, value, entry.time, steps[name]) for name, value in new.items()]
        if metrics:
            client.log_batch(self._run_id, metrics=metrics)
        self._seen |= {(name, steps[name]): value for name, value in new.items()}


def _has(known: float | None, value: float) -> bool:
    """Whether a run has this value: NaN, too, and an infinity, of which MLflow keeps the largest number."""
    if known is None or math.isnan(value):
        return known is not None and math.isnan(known)
    return known == max(-sys.float_info.max, min(value, sys.float_info.max)) or known == value


def settle_run(client: MlflowClient, run_id: str, metrics: Mapping[str, float]) -> None:
    """Give a run the metrics that it does not end with, at the step at which it has its last of each."""
    from mlflow.entities import Metric

    known, now = client.get_run(run_id).data.metrics, round(time.time() * 1000)
    differing = {
        name: value
        for name, value in ((metric_name(name), value) for name, value in metrics.items())
        if not _has(known.get(name), value)
    }
    steps = {
        name: max((metric.step for metric in client.get_metric_history(run_id, name)), default=0)
        for name in differing
    }
    listed = [Metric(name, value, now, steps[name]) for name, value in differing.items()]
    for first in range(0, len(listed), BATCH):
        client.log_batch(run_id, metrics=listed[first : first + BATCH])


def write_parameters(tree: RunTree, variant: str, parameters: Mapping[str, str]) -> None:
    """Give a variant's run its parameters: a new run where it has others, for MLflow lets none change."""
    from mlflow.entities import Param

    wanted = dict(_legal(parameters))
    run_id = tree.variant_run(variant)
    present = tree.client.get_run(run_id).data.params
    if present == wanted:
        return
    if present:
        run_id = tree.replace_variant(variant)
    params = [Param(key, value) for key, value in wanted.items()]
    for first in range(0, len(params), BATCH):
        tree.client.log_batch(run_id, params=params[first : first + BATCH])


def metric_name(name: str) -> str:
    """A metric's name in MLflow, which shows as one group what is equal up to a slash: `knn/top1`."""
    group, _, rest = name.partition(".")
    return legal_name(f"{group}/{rest}" if group and rest else name)


def legal_name(name: str) -> str:
    """The name without what MLflow refuses in names of metrics, parameters and tags."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:NAME_CHARACTERS]


def _legal(texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Legal names, and values within MLflow's limit; what is cut off stands in the configuration's file."""
    return [
        (
            legal_name(name),
            text
            if len(text) <= VALUE_CHARACTERS
            else f"{text[: VALUE_CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}",
        )
        for name, text in texts.items()
    ]
