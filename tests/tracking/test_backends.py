"""Which tracker an address is for, and the commands that refuse what is for none."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.runner.options import Options
from cmae_ablate.tracking import backend_of

PACKAGE = Path(__file__).parents[2] / "cmae_ablate"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("tensorboard:runs", "TensorBoard"),
        ("sqlite:////tmp/mlflow.db", "MLflow"),
        ("postgresql+psycopg2://me@host/mlflow", "MLflow"),
        ("http://host:5000", "MLflow"),
    ],
)
def test_the_scheme_of_an_address_chooses_the_tracker(uri: str, name: str) -> None:
    assert backend_of(uri).name == name


@pytest.mark.parametrize(
    "uri", ["wandb:runs", "tensorbord:runs", "runs", "", ":", "TENSORBOARD:runs", "file:///tmp"]
)
def test_an_unknown_address_is_refused_before_anything_is_created(
    uri: str, tiny_study: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    options = Options(tiny_study, out=tmp_path / "runs", tracking=uri)
    with pytest.raises(UserError, match=r"--tracking-uri .*tensorboard:DIR"):
        options.check()
    assert sorted(tmp_path.rglob("*")) == before


def test_nobody_outside_the_room_and_the_start_of_workers_knows_a_tracker_by_name() -> None:
    """A third tracker is new files and one line of `backends`."""
    of_trackers = (
        "mlflow",
        "tensorboard",
        "connection",
        "links",
        "store",
        "run_tree",
        "run_writer",
        "saved_view",
    )
    found = []
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "tracking":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            if module.startswith("cmae_ablate.tracking.") and module.split(".")[2].startswith(of_trackers):
                found.append(f"{path.name}: {module}")
    assert found == []
