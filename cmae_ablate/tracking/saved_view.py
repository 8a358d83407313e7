"""How MLflow's list of a study's runs opens: the whole tree, with what the study reads of each as columns.

MLflow keeps a view that somebody saved as a tag of the experiment, and an address may name it. The view holds
columns, their widths and the order, but not (or not any more: 3.17) which rows are open. Those open at the
first visit whose children are marked as evaluations (`run_tree.RUN_TYPE`), as all of ours are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

KEY = "study"
TAG = f"mlflow.sharedViewState.{KEY}"
TRAINING = "workflowType=machine_learning"
"""Without it a browser that has never been there opens MLflow's pages for language models."""
_NAME = "attributes.`Run Name`"


def saved_view(columns: Mapping[str, int], milliseconds: int) -> str:
    """The experiment's tag `TAG`.

    Args:
        columns: Widths in pixels by name of what is shown, such as "metrics.`knn/top1`".
        milliseconds: When it was made, since 1970.
    """
    widths = {_NAME: 240, **columns}
    state = {
        "selectedColumns": list(columns),
        "columnOrder": list(widths),
        "columnWidths": widths,
        # Trees are shown in no other order: first come, first shown, as the study file has them.
        "orderByKey": "attributes.start_time",
        "orderByAsc": True,
        "searchFilter": "",
        "runsHiddenMode": "SHOW_ALL",
        # Older versions take these from a view, too, and need all of them.
        **{name: {} for name in ("runsExpanded", "runsVisibilityMap", "groupsExpanded")},
        **{name: [] for name in ("runsPinned", "runsHidden")},
        "groupBy": None,
        "autoRefreshEnabled": True,
    }
    envelope = {"name": KEY, "createdAt": milliseconds, "updatedAt": milliseconds, "state": json.dumps(state)}
    return json.dumps({**state, **envelope})  # older versions read the one, newer ones the other


def study_address(root: str, experiment: str) -> str:
    """Where a browser finds the tree.

    Args:
        root: Of MLflow's pages, without a slash at its end.
        experiment: Its id.
    """
    return f"{root}/#/experiments/{experiment}/runs?viewStateShareKey={KEY}&{TRAINING}"


def run_address(root: str, experiment: str, run_id: str) -> str:
    """Where a browser finds one run; arguments as of `study_address`."""
    return f"{root}/#/experiments/{experiment}/runs/{run_id}?{TRAINING}"
