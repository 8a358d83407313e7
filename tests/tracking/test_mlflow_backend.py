"""MLflow behind the same seam as every other tracker."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.database import sqlite_url
from cmae_ablate.tracking import mlflow_backend
from cmae_ablate.tracking.mlflow_backend import MlflowBackend


def test_a_database_exists_with_its_file_and_a_server_may_always(tmp_path: Path) -> None:
    database = MlflowBackend(sqlite_url(tmp_path / "mlflow.db"))
    assert database.database == tmp_path / "mlflow.db"
    assert not database.exists
    (tmp_path / "mlflow.db").touch()
    assert database.exists
    assert MlflowBackend("http://host:5000").exists
    assert MlflowBackend("http://host:5000").database is None


def test_no_password_is_shown() -> None:
    assert "hunter2" not in MlflowBackend("postgresql://me:hunter2@host/db").shown


def test_links_are_those_of_the_cells_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    store = {("MAE", "0", "f0"): "http://a", ("MAE", "0", "old"): "http://b"}
    monkeypatch.setattr(mlflow_backend, "addresses", lambda uri, study: store)
    backend = MlflowBackend("http://host")
    assert backend.links("study", [("MAE", 0, "f0"), ("MAE", 1, "f1")]) == {("MAE", 0, "f0"): "http://a"}
    monkeypatch.setattr(mlflow_backend, "addresses", lambda uri, study: None)
    assert backend.links("study", []) is None
