"""Addresses of runs: MLflow is asked for those that are new, and what is kept is what it said."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cmae_ablate.database import sqlite_url
from cmae_ablate.files import sealed
from cmae_ablate.queue import CellStatus
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.run_links import KEPT, run_links, say_where
from cmae_ablate.tracking import mlflow_backend
from cmae_ablate.tracking.links import Tags
from cmae_ablate.tracking.mlflow_backend import MlflowBackend
from cmae_ablate.tracking.tracker import Tracker
from tests.whole_study import quiet, said

ADDRESS = "http://127.0.0.1:5000/#/experiments/7/runs/"


def status(variant: str, seed: int, state: str = "COMPLETE") -> CellStatus:
    cell = SimpleNamespace(variant=variant, seed=seed, fingerprint=f"f{variant}{seed}")
    return cast("CellStatus", SimpleNamespace(cell=cell, state=state))


@dataclass
class Store:
    """Stands for MLflow's: what is in it, and how often it was asked."""

    runs: dict[Tags, str] | None
    asked: int = 0

    def __call__(self, uri: str, study: str) -> dict[Tags, str] | None:
        self.asked += 1
        return self.runs


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """As a command begins that has not imported MLflow."""
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    (tmp_path / "mlflow.db").touch()
    (tmp_path / "study").mkdir()
    places = SimpleNamespace(backend=MlflowBackend(sqlite_url(tmp_path / "mlflow.db")))
    study = SimpleNamespace(name="study")
    return cast("Experiment", SimpleNamespace(places=places, folder=tmp_path / "study", study=study))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    found = Store({("MAE", "0", "fMAE0"): f"{ADDRESS}abc", ("MAE", "1", "fMAE1"): f"{ADDRESS}def"})
    monkeypatch.setattr(mlflow_backend, "addresses", found)
    return found


def test_the_store_is_asked_once_while_no_cell_is_new(experiment: Experiment, store: Store) -> None:
    cells = [status("MAE", 0), status("CMAE", 0, "WAITING")]
    assert run_links(experiment, cells) == {("MAE", 0): f"{ADDRESS}abc"}
    assert run_links(experiment, cells) == {("MAE", 0): f"{ADDRESS}abc"}
    assert store.asked == 1
    assert run_links(experiment, [*cells, status("MAE", 1)])["MAE", 1] == f"{ADDRESS}def"
    assert store.asked == 2


def test_where_mlflow_is_at_hand_it_is_asked(
    experiment: Experiment, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_links(experiment, [status("MAE", 0)])
    monkeypatch.setitem(sys.modules, "mlflow", cast("Any", SimpleNamespace()))
    store.runs = {("MAE", "0", "fMAE0"): f"{ADDRESS}new"}
    assert run_links(experiment, [status("MAE", 0)]) == {("MAE", 0): f"{ADDRESS}new"}


@pytest.mark.parametrize("content", [b"", b"{}", b'{"store": 1, "runs": []}'])
def test_what_is_damaged_or_of_another_store_is_asked_for_again(
    content: bytes, experiment: Experiment, store: Store
) -> None:
    run_links(experiment, [status("MAE", 0)])
    (experiment.folder / KEPT).write_bytes(content)
    assert run_links(experiment, [status("MAE", 0)]) == {("MAE", 0): f"{ADDRESS}abc"}
    assert json.loads((experiment.folder / KEPT).read_bytes())["runs"]
    object.__setattr__(experiment.places, "backend", MlflowBackend("http://elsewhere:5000"))
    run_links(experiment, [status("MAE", 0)])
    assert store.asked == 3


def test_an_address_that_is_no_page_of_the_store_is_followed_by_nobody(
    experiment: Experiment, store: Store
) -> None:
    run_links(experiment, [status("MAE", 0)])
    kept = json.loads((experiment.folder / KEPT).read_bytes())
    forged = {key: "javascript:alert(1)" for key in kept["runs"]}
    (experiment.folder / KEPT).write_bytes(sealed({"store": kept["store"], "runs": forged}))
    assert run_links(experiment, [status("MAE", 0)]) == {("MAE", 0): f"{ADDRESS}abc"}


def test_a_store_that_is_away_costs_the_links_and_no_report(experiment: Experiment, store: Store) -> None:
    store.runs = None
    assert run_links(experiment, [status("MAE", 0)]) == {}
    assert not (experiment.folder / KEPT).exists()


class Lost:
    """Stands for the tracker of a store that does not answer."""

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy

    def address(self) -> str:
        return ""

    def remedy(self) -> str:
        return self._remedy


@pytest.mark.parametrize(
    ("remedy", "told"),
    [
        ("", "the same command makes up for them from queue and cache once it answers"),
        ("mlflow.db is damaged: move it aside", "mlflow.db is damaged: move it aside"),
    ],
)
def test_a_store_that_will_never_answer_is_not_waited_for(
    remedy: str, told: str, experiment: Experiment
) -> None:
    console = quiet()
    say_where(experiment.places.backend, cast("Tracker", Lost(remedy)), console)
    assert said(console) == f"runs: MLflow is away; {told}"
