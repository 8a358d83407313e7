"""The view that MLflow's list of runs opens in, as its own pages (3.17) read one."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from cmae_ablate.tracking import MlflowTracker
from cmae_ablate.tracking.saved_view import run_address, saved_view, study_address
from cmae_ablate.tracking.tracker import Findings, Subject
from tests.distributed.processes import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

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


@dataclass(frozen=True)
class StudyCell:
    variant: str
    seed: int
    fingerprint: str


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """What a finished study prints, with MLflow's pages open."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = MlflowTracker(uri, tmp_path / "mlartifacts", "decoder_size")
    cells = [StudyCell("depth 1", seed, f"f{seed}") for seed in range(2)]
    tracker.open_study(cells, Subject("How small?", "knn.top1", {}, {"depth 1": {"decoder.depth": "1"}}))
    for cell in cells:
        run = tracker.start_cell(cell.variant, cell.seed, {}, {"fingerprint": cell.fingerprint})
        run.log_results(2, {"knn.top1": 12.5 + cell.seed})
        run.finish("FINISHED")
    found = Findings("How small? Very.", {"depth 1": ("+4.25 [+3.75, +4.75]", "higher than depth 8")}, ())
    tracker.finish_study({"depth 1": {"knn.top1": 13.0}}, "FINISHED", found)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--backend-store-uri", uri],
            stdout=log,
            stderr=log,
            cwd=tmp_path,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 300
        while True:
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < deadline
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.2)
        yield tracker.address().replace(":5000/", f":{port}/")
    finally:
        os.killpg(server.pid, 9)
        server.wait()


def text_in_browser(address: str, profile: Path) -> str:
    """What a browser shows that has never been there."""
    assert CHROMIUM is not None
    shutil.rmtree(profile, ignore_errors=True)
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ]
    command = [CHROMIUM, *flags, f"--user-data-dir={profile}", "--window-size=1920,1000", "--dump-dom"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=30000", address],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", done.stdout.partition("<body")[2])))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_printed_address_shows_every_cell_with_metric_effect_and_verdict(
    address: str, tmp_path: Path
) -> None:
    wanted = ["How small? Very.", "depth 1, seed 0", "depth 1, seed 1", "knn/top1", "12.5", "13.5"]
    wanted += ["+4.25 [+3.75, +4.75]", "higher than depth 8"]
    missing = wanted
    deadline = time.monotonic() + 300
    while missing and time.monotonic() < deadline:  # a busy machine may not have loaded all of it
        shown = text_in_browser(address, tmp_path / "profile")
        missing = [text for text in wanted if text not in shown]
    assert missing == []
