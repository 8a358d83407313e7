"""The view that MLflow's list of runs opens in, as its own pages (3.17) read one."""

from __future__ import annotations

import json

from cmae_ablate.tracking.saved_view import run_address, saved_view, study_address

COLUMNS = {"metrics.`knn/top1`": 170, "tags.`verdict`": 90}


def test_a_view_holds_columns_with_their_widths_and_the_only_order_that_shows_a_tree() -> None:
    state = json.loads(json.loads(saved_view(COLUMNS, 7))["state"])
    assert state["selectedColumns"] == list(COLUMNS)
    # Widths are applied to the columns of `columnOrder` alone.
    assert state["columnOrder"] == ["attributes.`Run Name`", *COLUMNS]
    assert state["columnWidths"]["metrics.`knn/top1`"] == 170
    assert (state["orderByKey"], state["orderByAsc"], state["searchFilter"]) == (
        "attributes.start_time",
        True,
        "",
    )


def test_a_view_is_listed_by_its_name_and_read_by_versions_without_names() -> None:
    saved = json.loads(saved_view(COLUMNS, 7))
    assert (saved["name"], saved["createdAt"], saved["updatedAt"]) == ("study", 7, 7)
    state = json.loads(saved["state"])
    assert {name: saved[name] for name in state} == state
    # Those set the whole state of the page, and index these.
    assert (saved["runsExpanded"], saved["runsPinned"], saved["runsHidden"]) == ({}, [], [])


def test_a_view_fits_into_an_experiments_tag() -> None:
    assert len(saved_view({f"metrics.`{'x' * 250}`": 170, **COLUMNS}, 2_000_000_000_000)) < 5000


def test_addresses_open_the_pages_for_training() -> None:
    root = "http://127.0.0.1:5000"
    assert study_address(root, "7") == (
        f"{root}/#/experiments/7/runs?viewStateShareKey=study&workflowType=machine_learning"
    )
    assert run_address(root, "7", "ab") == (f"{root}/#/experiments/7/runs/ab?workflowType=machine_learning")
