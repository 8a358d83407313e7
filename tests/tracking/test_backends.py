"""What keeps the runs of an address, and the commands that refuse what is for none."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.run import run_study
from cmae_ablate.tracking import backend_of, backends
from cmae_ablate.tracking.tracker import Backend, CellId, CellKey, Findings, Status, Subject, TrackedCell
from tests.whole_study import quiet, said, write_study

PACKAGE = Path(__file__).parents[2] / "cmae_ablate"


@dataclass
class Fake:
    """A `Backend`, its `Tracker` and every `CellRun` at once: remembers what it is told."""

    uri: str
    name = "Fake"
    pages = "http://fake"
    is_at_hand = True
    exists = True
    database = None
    told: ClassVar[list[str]] = []

    @property
    def shown(self) -> str:
        return self.uri

    def check(self) -> None: ...

    def load(self) -> None: ...

    def open(self, out: Path, study: str) -> Fake:
        return self

    def ui_command(self) -> str:
        return "fake --serve"

    def links(self, study: str, cells: Collection[CellId]) -> dict[CellId, str]:
        return {cell: f"{self.pages}/{study}/{cell[1]}" for cell in cells}

    def open_study(self, cells: Iterable[TrackedCell], subject: Subject) -> None:
        self.told.append(f"study {subject.question}")

    def start_cell(self, variant: str, seed: int, params: Mapping[str, str], tags: Mapping[str, str]) -> Fake:
        self.told.append(f"start {variant}, seed {seed}")
        return self

    def untold(self, done: Collection[CellId]) -> list[CellId]:
        return []

    def settle_cells(self, numbers: Mapping[CellId, Mapping[str, float]]) -> None: ...

    def finish_study(
        self,
        summary: Mapping[str, Mapping[str, float]],
        status: Status = "FINISHED",
        findings: Findings | None = None,
    ) -> None:
        if findings is not None:
            self.told.append(f"answer for {', '.join(sorted(summary))}")

    def reconcile(
        self, running: Collection[CellKey], complete: Collection[CellKey] = (), *, groups: bool = True
    ) -> None: ...

    def address(self) -> str:
        return f"{self.pages}/study"

    def remedy(self) -> str:
        return ""

    def log_metrics(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self.told.append(f"epoch {epoch}")

    def log_results(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self.told.append("results")

    def log_dict(self, content: Mapping[str, object], name: str) -> None: ...

    def log_artifact(self, path: Path, folder: str) -> None: ...

    def finish(self, status: Status) -> None:
        self.told.append(status)


def test_a_study_is_told_to_whatever_keeps_its_runs_and_mlflow_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tracker is a class and one line of `backends`."""
    monkeypatch.setattr(backends, "MlflowBackend", Fake)
    monkeypatch.setattr(Fake, "told", [])
    backend: Backend = Fake("fake:place")  # mypy holds it to the protocol
    console = quiet()
    options = Options(
        write_study(tmp_path), workers=1, device="cpu", out=tmp_path / "runs", tracking=backend.shown, seeds=1
    )
    assert run_study(options, console) == 0
    assert "runs: fake --serve then open http://fake/study" in said(console)
    assert "study Does the decoder matter?" in Fake.told
    first = Fake.told.index("start depth 1, seed 0")
    assert Fake.told[first : first + 5] == [
        "start depth 1, seed 0",
        "epoch 1",
        "epoch 2",
        "results",
        "FINISHED",
    ]
    assert "answer for depth 1, linear" in Fake.told
    assert not (tmp_path / "runs" / "mlflow.db").exists()
    page = (tmp_path / "runs" / "study" / "index.html").read_text()
    assert "http://fake/study/0" in page
    assert "MLflow" not in page


@pytest.mark.parametrize(
    "uri", ["sqlite:////tmp/mlflow.db", "postgresql+psycopg2://me@host/mlflow", "HTTP://host:5000"]
)
def test_an_address_of_mlflows_chooses_mlflow(uri: str) -> None:
    assert backend_of(uri).name == "MLflow"


@pytest.mark.parametrize(
    "uri",
    [
        "wandb:runs",
        "tensorboard:runs",
        "runs",
        "",
        ":",
        "file:///tmp",
        "http",
        "http:host",
        "http://host:port",
    ],
)
def test_an_unknown_address_is_refused_before_anything_is_created(
    uri: str, tiny_study: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    options = Options(tiny_study, out=tmp_path / "runs", tracking=uri)
    with pytest.raises(UserError, match=r"--tracking-uri .*: no MLflow store .*; write one like ") as caught:
        options.check()
    assert sorted(tmp_path.rglob("*")) == before
    examples = re.split(", | or ", str(caught.value).split("write one like ")[1])
    assert {"sqlite:////path/mlflow.db", "postgresql://user@host/database", "http://host:5000"} < {*examples}
    for example in examples:  # whatever it names is let through
        backend_of(example).check()


def test_an_address_that_workers_cannot_share_is_refused_with_what_to_write(
    tiny_study: Path, tmp_path: Path
) -> None:
    options = Options(tiny_study, out=tmp_path / "runs", tracking="sqlite:///:memory:")
    with pytest.raises(UserError, match=r"names no file that workers can share; write sqlite:////path\.db"):
        options.check()


def test_a_scheme_may_be_in_capitals_and_its_server_is_named_without_its_token() -> None:
    backend = backend_of("HTTP://token@Host:5000")
    backend.check()
    assert backend.pages == backend.ui_command() == "http://***@Host:5000"


def test_nobody_outside_the_room_and_the_start_of_workers_knows_a_tracker_by_name() -> None:
    of_trackers = (
        "mlflow",
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
