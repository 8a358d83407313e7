"""MLflow as the user will find it: every test reads the store with MLflow's own client."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qs, urlsplit

import pytest
from filelock import FileLock

from cmae_ablate.errors import UserError
from cmae_ablate.tracking import MlflowTracker, connection, mlflow_run, mlflow_tracker, ui_command
from cmae_ablate.tracking import store as store_module
from cmae_ablate.tracking.connection import connect
from cmae_ablate.tracking.tracker import Findings, Subject

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run
    from mlflow.tracking import MlflowClient

PARENT = "mlflow.parentRunId"
SUBJECT = Subject("How small?", "knn.top1")


@dataclass(frozen=True)
class Cell:
    variant: str
    seed: int
    fingerprint: str


@dataclass(frozen=True)
class Store:
    """An MLflow store in a folder of its own."""

    out: Path

    @property
    def database(self) -> Path:
        return self.out / "mlflow.db"

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.database}"

    @property
    def client(self) -> MlflowClient:
        return connect(self.uri)

    def tracker(self) -> MlflowTracker:
        return MlflowTracker(self.uri, self.out / "mlartifacts", "decoder_size")

    @property
    def experiment(self) -> Experiment:
        found = self.client.get_experiment_by_name("decoder_size")
        assert found is not None
        return found

    def runs(self) -> list[Run]:
        return list(self.client.search_runs([self.experiment.experiment_id], order_by=["start_time ASC"]))

    def run(self, name: str, parent: str | None = None) -> Run:
        """The only run of that name, below the run named `parent` if given."""
        by_id = {run.info.run_id: run.info.run_name for run in self.runs()}
        (found,) = (
            run
            for run in self.runs()
            if run.info.run_name == name
            and (parent is None or by_id[run.data.tags.get(PARENT, run.info.run_id)] == parent)
        )
        return found

    def tree(self) -> Counter[tuple[str, ...]]:
        """Every run as the names from the root down to it."""
        by_id = {run.info.run_id: run for run in self.runs()}

        def path(run: Run) -> tuple[str, ...]:
            parent = run.data.tags.get(PARENT)
            return (*(path(by_id[parent]) if parent else ()), run.info.run_name)

        return Counter(path(run) for run in by_id.values())

    def statuses(self) -> dict[str, str]:
        return {run.info.run_name: run.info.status for run in self.runs()}


def told(tracker: MlflowTracker) -> None:
    """Wait until the tracker has told all that it was given."""
    assert tracker._background.wait(300)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables: MLflow takes seconds to create them."""
    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{database}")
    return database


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Store:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Store(tmp_path)


def begin(tracker: MlflowTracker, variant: str, seed: int, settings: str = "") -> None:
    tracker.start_cell(variant, seed, {"epochs": "2"}, {"fingerprint": f"{variant}{seed}{settings}"})
    told(tracker)


def train(tracker: MlflowTracker, variant: str, seed: int, settings: str = "") -> None:
    """A cell of two epochs, from start to end."""
    run = tracker.start_cell(variant, seed, {"epochs": "2"}, {"fingerprint": f"{variant}{seed}{settings}"})
    run.log_metrics(1, {"loss": 2.0})
    run.log_metrics(2, {"loss": 1.0})
    run.finish("FINISHED")


def losses(store: Store, run: Run) -> list[tuple[int, float]]:
    history = store.client.get_metric_history(run.info.run_id, "loss")
    return [(metric.step, metric.value) for metric in history]


def damage(database: Path) -> Callable[[], None]:
    """Make a store unreadable in place; the result mends it."""
    content = database.read_bytes()
    database.write_bytes(b"no database any more " * 1000)

    def mend() -> None:
        database.write_bytes(content)

    return mend


def test_a_study_is_one_tree_of_study_variants_and_seeds(store: Store) -> None:
    tracker = store.tracker()
    for seed in (0, 1):
        for variant in ("depth 8", 'it\'s `odd` "+" 1%'):
            train(tracker, variant, seed)
    tracker.finish_study({"depth 8": {"knn.top1": 20.5, "knn.top1.std": 2.0}})
    assert store.tree() == {
        ("decoder_size",): 1,
        ("decoder_size", "depth 8"): 1,
        ("decoder_size", "depth 8", "depth 8, seed 0"): 1,
        ("decoder_size", "depth 8", "depth 8, seed 1"): 1,
        ("decoder_size", 'it\'s `odd` "+" 1%'): 1,
        ("decoder_size", 'it\'s `odd` "+" 1%', 'it\'s `odd` "+" 1%, seed 0'): 1,
        ("decoder_size", 'it\'s `odd` "+" 1%', 'it\'s `odd` "+" 1%, seed 1'): 1,
    }
    assert store.run("depth 8").data.metrics == {"knn/top1": 20.5, "knn/top1.std": 2.0}


def test_the_printed_address_names_a_view_that_the_store_holds_with_metric_effect_and_verdict(
    store: Store,
) -> None:
    tracker = store.tracker()
    tracker.open_study([Cell("depth 8", 0, "f")], SUBJECT)
    experiment = store.experiment
    address = urlsplit(urlsplit(tracker.address()).fragment)
    asked = parse_qs(address.query)
    assert address.path == f"/experiments/{experiment.experiment_id}/runs"
    assert asked["workflowType"] == ["machine_learning"]
    # As MLflow 3.17's own pages write and read a saved view: an envelope whose state is JSON in JSON.
    saved = json.loads(experiment.tags[f"mlflow.sharedViewState.{asked['viewStateShareKey'][0]}"])
    assert isinstance(saved["name"], str)
    assert isinstance(saved["createdAt"], int)
    state = json.loads(saved["state"])
    assert state["selectedColumns"] == ["metrics.`knn/top1`", "tags.`effect`", "tags.`verdict`"]
    # The tree is shown in this order only.
    assert (state["orderByKey"], state["searchFilter"]) == ("attributes.start_time", "")
    # Older versions read the same fields from the tag itself, and fail without these.
    assert {"runsExpanded", "runsPinned", "runsHidden", "selectedColumns"} <= set(saved)


def test_rows_of_study_and_variants_open_at_the_first_visit_for_their_children_are_evaluations(
    store: Store,
) -> None:
    train(store.tracker(), "depth 8", 0)
    types = {run.info.run_name: run.data.tags.get("mlflow.runType") for run in store.runs()}
    assert types == {"decoder_size": None, "depth 8": "evaluation", "depth 8, seed 0": "evaluation"}


def test_the_study_run_ends_with_answer_verdicts_and_report(store: Store, tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text("<h1>How small?</h1>")
    tracker = store.tracker()
    tracker.open_study([Cell("depth 1", 0, "f")], SUBJECT)
    found = Findings("How small? As you like.\nSensitivity: none.", {"depth 1": ("-1.00", "lower")}, [page])
    tracker.finish_study({"depth 1": {"knn.top1": 20.5}}, "FINISHED", found)
    study, variant = store.run("decoder_size"), store.run("depth 1")
    assert study.data.tags["mlflow.note.content"] == "How small? As you like.\n\nSensitivity: none."
    assert (variant.data.tags["effect"], variant.data.tags["verdict"]) == ("-1.00", "lower")
    kept = Path(study.info.artifact_uri.removeprefix("file://")) / "report" / "index.html"
    assert kept.read_text() == "<h1>How small?</h1>"
    assert {study.info.status, variant.info.status} == {"FINISHED"}


def test_what_somebody_wrote_above_the_runs_is_left_and_our_own_is_kept_up_to_date(store: Store) -> None:
    def above() -> str:
        return str(store.experiment.tags["mlflow.note.content"])

    tracker = store.tracker()
    tracker.finish_study({}, "FINISHED", Findings("First.\nMore.", {}, []))
    assert above() == "First."
    tracker.finish_study({}, "FINISHED", Findings("Second.", {}, []))
    assert above() == "Second."
    store.client.set_experiment_tag(store.experiment.experiment_id, "mlflow.note.content", "Mine")
    tracker.finish_study({}, "FINISHED", Findings("Third.", {}, []))
    assert above() == "Mine"


def test_a_store_that_takes_no_files_has_the_numbers_and_ended_runs_nevertheless(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = store.tracker()
    gone = Findings("None.", {}, [tmp_path / "gone.html"])
    with caplog.at_level(logging.WARNING):
        tracker.finish_study({"depth 1": {"knn.top1": 20.5}}, "FINISHED", gone)
    assert caplog.text.count("is away") == 1
    assert store.run("depth 1").data.metrics == {"knn/top1": 20.5}
    assert set(store.statuses().values()) == {"FINISHED"}


def test_a_result_is_its_curves_end_or_has_no_epoch(store: Store) -> None:
    tracker = store.tracker()
    run = tracker.start_cell("depth 8", 0, {}, {"fingerprint": "f"})
    run.log_metrics(1, {"loss": 2.0, "probe.top1": 3.0})
    run.log_results(2, {"probe.top1": 7.0, "knn.top1": 9.0})
    told(tracker)
    found = store.run("depth 8, seed 0")
    assert found.data.metrics == {"loss": 2.0, "probe/top1": 7.0, "knn/top1": 9.0}
    steps = {
        name: [metric.step for metric in store.client.get_metric_history(found.info.run_id, name)]
        for name in ("probe/top1", "knn/top1")
    }
    assert steps == {"probe/top1": [1, 2], "knn/top1": [0]}


def test_a_variant_has_its_parameters_and_with_others_a_run_of_its_own(store: Store) -> None:
    cell, tracker = Cell("depth 8", 0, "depth 80"), store.tracker()
    for depth in ("8", "8", "16"):
        tracker.open_study([cell], replace(SUBJECT, parameters={"depth 8": {"decoder.depth": depth}}))
        train(tracker, "depth 8", 0)
        told(tracker)
        assert store.run("depth 8", "decoder_size").data.params == {"decoder.depth": depth}
    assert store.tree() == {
        ("decoder_size",): 1,
        ("decoder_size", "depth 8"): 1,
        ("decoder_size", "depth 8", "depth 8, seed 0"): 1,
        ("decoder_size", "older settings"): 1,
        ("decoder_size", "older settings", "depth 8"): 1,
    }
    assert store.run("depth 8", "older settings").data.params == {"decoder.depth": "8"}


def test_runs_of_version_0_1_get_their_names_and_types(store: Store) -> None:
    tracker = store.tracker()
    train(tracker, "depth 8", 0)
    told(tracker)
    run_id = store.run("depth 8, seed 0").info.run_id
    store.client.set_tag(run_id, "mlflow.runName", "seed 0")
    store.client.delete_tag(run_id, "mlflow.runType")
    store.tracker().open_study([Cell("depth 8", 0, "depth 80")], SUBJECT)
    found = store.run("depth 8, seed 0")
    assert (found.info.run_id, found.data.tags["mlflow.runType"]) == (run_id, "evaluation")


def test_a_study_that_ended_leaves_no_run_unfinished(store: Store) -> None:
    tracker = store.tracker()
    train(tracker, "depth 8", 0)
    begin(tracker, "depth 1", 0)
    tracker.reconcile([], [("depth 8", 0), ("depth 1", 0)])
    tracker.finish_study({"depth 8": {}})
    assert {run.info.status for run in store.runs()} == {"FINISHED"}


def test_curves_parameters_and_files_come_back(store: Store, tmp_path: Path) -> None:
    picture = tmp_path / "reconstructions.png"
    picture.write_bytes(b"a picture")
    tracker = store.tracker()
    run = tracker.start_cell("depth 8", 0, {"training.epochs": "2"}, {"fingerprint": "f"})
    run.log_metrics(1, {"loss": 2.0, "a,b": 1.0})
    run.log_metrics(2, {"loss": float("nan")})
    run.log_dict({"training": {"epochs": 2}}, "configuration.json")
    run.log_artifact(picture, "pictures")
    told(tracker)
    found = store.run("depth 8, seed 0")
    folder = Path(found.info.artifact_uri.removeprefix("file://"))
    assert found.data.params == {"training.epochs": "2"}
    assert [step for step, _ in losses(store, found)] == [1, 2]
    assert "a_b" in found.data.metrics
    assert (folder / "pictures" / "reconstructions.png").read_bytes() == b"a picture"
    assert '"epochs": 2' in (folder / "configuration.json").read_text()


def test_runs_end_with_the_numbers_of_the_table_and_hold_no_other_candidates(store: Store) -> None:
    tracker = store.tracker()
    for variant in ("depth 8", "depth 1"):
        run = tracker.start_cell(variant, 0, {}, {"fingerprint": variant})
        run.log_metrics(1, {"probe.top1": 3.0})
        run.log_metrics(2, {"probe.top1": 7.0, "probe.top1@l2=0.1": 7.0, "probe.top1@l2=1e-05": 5.0})
        run.finish("FINISHED")
    numbers = {"probe.top1": 5.0, "probe.l2": 1e-5}
    for _ in range(2):
        tracker.settle_cells({("depth 8", 0, "depth 8"): numbers, ("depth 8", 1, "never ran"): numbers})
    found = {run.data.tags["fingerprint"]: run for run in store.runs() if "fingerprint" in run.data.tags}
    assert found["depth 8"].data.metrics == {"probe/top1": 5.0, "probe/l2": 1e-5}
    assert found["depth 1"].data.metrics == {"probe/top1": 7.0}
    assert set(found) == {"depth 8", "depth 1"}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    history = store.client.get_metric_history(found["depth 8"].info.run_id, "probe/top1")
    assert [(metric.step, metric.value) for metric in history] == [(1, 3.0), (2, 7.0), (2, 5.0)]


def test_a_parameter_too_long_for_mlflow_is_cut_visibly(store: Store) -> None:
    tracker = store.tracker()
    tracker.start_cell("depth 8", 0, {"levels": "x" * 7000}, {"fingerprint": "f"})
    told(tracker)
    kept = store.run("depth 8, seed 0").data.params["levels"]
    assert kept == "x" * 5999 + "\N{HORIZONTAL ELLIPSIS}"


def test_a_resumed_cell_goes_on_in_its_run_without_doubling_epochs(store: Store) -> None:
    first = store.tracker()
    killed = first.start_cell("depth 8", 0, {"epochs": "2"}, {"fingerprint": "f"})
    killed.log_metrics(1, {"loss": 2.0})
    told(first)
    resumed = store.tracker().start_cell("depth 8", 0, {"epochs": "changed"}, {"fingerprint": "f"})
    resumed.log_metrics(1, {"loss": 2.0})
    resumed.log_metrics(2, {"loss": 1.0})
    resumed.finish("FINISHED")
    assert losses(store, store.run("depth 8, seed 0")) == [(1, 2.0), (2, 1.0)]
    assert store.run("depth 8, seed 0").info.status == "FINISHED"


def test_a_cell_that_is_trained_again_ends_with_its_new_numbers(store: Store) -> None:
    for loss, seconds in ((2.0, 10.0), (2.0, 14.0)):
        tracker = store.tracker()
        run = tracker.start_cell("depth 8", 0, {}, {"fingerprint": "f"})
        run.log_metrics(1, {"loss": loss})
        run.log_results(1, {"seconds.pretrain": seconds})
        run.finish("FINISHED")
        told(tracker)
    found = store.run("depth 8, seed 0")
    assert found.data.metrics == {"loss": 2.0, "seconds/pretrain": 14.0}
    assert losses(store, found) == [(1, 2.0)]  # what is as it was is not told again


def test_what_is_not_finite_is_told_once(store: Store) -> None:
    diverged = {"loss": float("nan"), "largest": float("inf"), "least": float("-inf")}
    for _ in range(2):
        tracker = store.tracker()
        run = tracker.start_cell("depth 8", 0, {}, {"fingerprint": "f"})
        run.log_metrics(1, diverged)
        run.finish("FINISHED")
        told(tracker)
    run_id = store.run("depth 8, seed 0").info.run_id
    for name in diverged:
        assert len(store.client.get_metric_history(run_id, name)) == 1


def test_runs_of_dead_workers_are_ended_and_those_of_live_ones_left(store: Store) -> None:
    tracker = store.tracker()
    for variant in ("alive", "dead", "told too late"):
        begin(tracker, variant, 0)
    tracker.reconcile([("alive", 0)], [("told too late", 0)])
    assert store.run("alive, seed 0").info.status == "RUNNING"
    assert store.run("dead, seed 0").info.status == "KILLED"
    assert store.run("told too late, seed 0").info.status == "FINISHED"
    assert [store.run(name).info.status for name in ("alive", "dead", "decoder_size")] == [
        "RUNNING",
        "KILLED",
        "RUNNING",
    ]


def test_while_the_report_is_made_only_cells_are_ended(store: Store) -> None:
    tracker = store.tracker()
    begin(tracker, "depth 8", 0)
    tracker.reconcile([], [("depth 8", 0)], groups=False)
    assert store.run("depth 8, seed 0").info.status == "FINISHED"
    assert [store.run(name).info.status for name in ("depth 8", "decoder_size")] == ["RUNNING", "RUNNING"]


def test_nothing_runs_after_an_interrupted_study(store: Store) -> None:
    tracker = store.tracker()
    begin(tracker, "depth 8", 0)
    tracker.reconcile([])
    assert set(store.statuses().values()) == {"KILLED"}


def test_an_outage_is_said_once_and_names_the_cells_to_make_up_for(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    mend = damage(store.database)
    with caplog.at_level(logging.WARNING):
        tracker = store.tracker()
        train(tracker, "depth 8", 0)
        train(tracker, "depth 1", 0)
        assert tracker.untold([("depth 8", 0, "depth 80")]) == []
    assert caplog.text.count("is away (file is not a database); training goes on") == 1
    mend()
    train(store.tracker(), "depth 1", 0)
    done = [("depth 8", 0, "depth 80"), ("depth 1", 0, "depth 10")]
    assert store.tracker().untold(done) == [("depth 8", 0, "depth 80")]


def test_a_full_disk_is_no_outage_and_no_statement_is_quoted(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT INTO runs VALUES (?)]"
    tracker = store.tracker()

    def fails(*arguments: object) -> NoReturn:
        raise RuntimeError(said)

    monkeypatch.setattr(store_module, "connect", fails)
    with caplog.at_level(logging.WARNING):
        train(tracker, "depth 8", 0)
    (told,) = [record.getMessage() for record in caplog.records if "tracking:" in record.getMessage()]
    assert told.startswith(
        f"tracking: MLflow at {store.uri} has no room left on its disk; training goes on, and"
    )


def test_a_damaged_file_is_to_be_moved_aside_not_waited_for(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "FIRST_PAUSE", 0.0)
    mend = damage(store.database)
    tracker = store.tracker()
    remedy = (
        f"{store.database} is damaged: move it aside, and the same command makes its runs anew from queue "
        "and cache"
    )
    with caplog.at_level(logging.WARNING):
        assert tracker.address() == ""
    assert tracker.remedy() == remedy
    assert caplog.text.count(f"is away (file is not a database); training goes on; {remedy}") == 1
    mend()
    assert tracker.address() != ""
    assert tracker.remedy() == ""


def test_one_store_of_two_trackers_is_said_to_be_away_once_and_to_answer_again_once(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "FIRST_PAUSE", 0.0)
    table, controls = store.tracker(), MlflowTracker(store.uri, store.out / "mlartifacts", "its/controls")
    mend = damage(store.database)
    with caplog.at_level(logging.WARNING):
        for tracker in (table, controls, table):
            assert tracker.address() == ""
    assert caplog.text.count("is away") == 1
    mend()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for tracker in (table, controls):
            assert tracker.address() != ""
    assert caplog.text.count("answers again") == 1
    damage(store.database)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert store.tracker().address() == ""
    assert caplog.text.count("is away") == 1  # another outage is news


def test_an_outage_in_the_middle_is_made_up_for_by_the_run_itself(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "FIRST_PAUSE", 0.0)
    tracker = store.tracker()
    run = tracker.start_cell("depth 8", 0, {}, {"fingerprint": "f"})
    run.log_metrics(1, {"loss": 3.0})
    told(tracker)
    mend = damage(store.database)
    run.log_metrics(2, {"loss": 2.0})
    run.log_metrics(3, {"loss": 1.0})
    told(tracker)
    mend()
    with caplog.at_level(logging.WARNING):
        run.finish("FINISHED")
        told(tracker)
    assert "answers again" in caplog.text
    assert losses(store, store.run("depth 8, seed 0")) == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_store_is_created_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledError(BaseException):
        pass

    def killed(uri: str) -> None:
        with sqlite3.connect(uri.removeprefix("sqlite:///")) as half:
            half.execute("CREATE TABLE experiments (name TEXT)")
        half.close()
        raise KilledError

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setenv("CMAE_ABLATE_CACHE", str(tmp_path / "cache"))  # no tables of an earlier store
        patched.setattr(connection, "connect", killed)
        (tmp_path / "mlflow.db").touch()
        connection.create_tables(tmp_path / "mlflow.db")
    assert (tmp_path / "mlflow.db").stat().st_size == 0
    train(Store(tmp_path).tracker(), "depth 8", 0)
    assert losses(Store(tmp_path), Store(tmp_path).run("depth 8, seed 0")) == [(1, 2.0), (2, 1.0)]


@pytest.fixture
def neighbour() -> Iterator[tuple[str, list[bytes]]]:
    """A server that says to each request what the list's first item is; nothing at all without one."""
    answer: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                held.append(client)
                if answer:
                    client.recv(65536)
                    client.sendall(answer[0])
                    client.close()

    Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", answer
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    for each in held:
        each.close()


def test_a_server_that_accepts_and_never_answers_is_not_waited_for(
    neighbour: tuple[str, list[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_run, "CELL_SECONDS", 0.5)
    monkeypatch.setattr(mlflow_tracker, "STUDY_SECONDS", 0.5)
    connection.load_mlflow(neighbour[0])
    tracker = MlflowTracker(neighbour[0], tmp_path / "mlartifacts", "decoder_size")
    started = time.monotonic()
    for seed in range(20):
        train(tracker, "depth 8", seed)
    assert tracker.address() == ""
    assert time.monotonic() - started < 8  # one cell and one study; a request alone takes ten


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>",
        b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"strange":1}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found",
        b"no HTTP",
    ],
)
def test_a_server_of_another_shape_ends_no_training(
    answer: bytes, neighbour: tuple[str, list[bytes]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    neighbour[1].append(answer)
    tracker = MlflowTracker(neighbour[0], tmp_path / "mlartifacts", "decoder_size")
    with caplog.at_level(logging.WARNING):
        tracker.open_study([Cell("depth 8", 0, "f")], SUBJECT)
        train(tracker, "depth 8", 0)
        tracker.reconcile([])
        assert tracker.address() == ""
    assert caplog.text.count("is away") == 1


def test_whatever_a_client_raises_ends_in_one_warning(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(uri: str) -> None:
        raise KeyError("experiments")

    monkeypatch.setattr(store_module, "connect", parse)
    with caplog.at_level(logging.WARNING):
        train(store.tracker(), "depth 8", 0)
    assert caplog.text.count("is away ('experiments')") == 1


def test_a_run_that_the_user_deleted_is_made_anew_with_all_that_it_held(store: Store) -> None:
    tracker = store.tracker()
    run = tracker.start_cell("depth 8", 0, {}, {"fingerprint": "f"})
    run.log_metrics(1, {"loss": 2.0})
    told(tracker)
    for name in ("depth 8, seed 0", "depth 8", "decoder_size"):
        store.client.delete_run(store.run(name).info.run_id)
    run.log_metrics(2, {"loss": 1.0})
    run.finish("FINISHED")
    assert losses(store, store.run("depth 8, seed 0")) == [(1, 2.0), (2, 1.0)]
    assert store.tree() == {
        ("decoder_size",): 1,
        ("decoder_size", "depth 8"): 1,
        ("decoder_size", "depth 8", "depth 8, seed 0"): 1,
    }


def test_a_complete_cell_whose_run_the_user_deleted_stays_deleted(store: Store) -> None:
    tracker = store.tracker()
    train(tracker, "depth 8", 0)
    run_id = store.run("depth 8, seed 0").info.run_id
    store.client.delete_run(run_id)
    assert store.tracker().untold([("depth 8", 0, "depth 80")]) == []
    store.client.restore_run(run_id)
    assert store.tracker().untold([("depth 8", 0, "depth 80")]) == []


@pytest.mark.parametrize("edit", ["deleted", "changed"])
def test_edited_tags_stop_nothing(edit: str, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    tracker = store.tracker()
    run = tracker.start_cell("depth 8", 0, {}, {"fingerprint": "f"})
    told(tracker)
    client = store.client
    tags = ("cmae.kind", "cmae.key", "variant", "seed", "fingerprint", PARENT)
    for each in store.runs():  # of the study, the variant and the seed, two of each's
        for tag in [tag for tag in tags if tag in each.data.tags][-2:]:
            if edit == "deleted":
                client.delete_tag(each.info.run_id, tag)
            else:
                client.set_tag(each.info.run_id, tag, "edited")
    with caplog.at_level(logging.WARNING):
        run.log_metrics(1, {"loss": 2.0})
        run.finish("FINISHED")
        again = store.tracker()
        again.open_study([Cell("depth 8", 0, "f"), Cell("depth 8", 1, "f1")], SUBJECT)
        train(again, "depth 8", 1)
        again.settle_cells({("depth 8", 0, "f"): {"loss": 1.0}})
        again.reconcile([], [("depth 8", 0), ("depth 8", 1)])
        again.finish_study({"depth 8": {"loss.mean": 1.0}})
    assert caplog.text == ""
    assert again.address()


@pytest.mark.parametrize("edit", ["renamed", "deleted"])
def test_an_experiment_renamed_or_deleted_meanwhile_stops_nothing(edit: str, store: Store) -> None:
    tracker = store.tracker()
    run = tracker.start_cell("depth 8", 0, {}, {"fingerprint": "f"})
    told(tracker)
    found = store.client.get_experiment_by_name("decoder_size")
    assert found is not None
    if edit == "renamed":
        store.client.rename_experiment(found.experiment_id, "mine")
    else:
        store.client.delete_experiment(found.experiment_id)
    run.log_metrics(1, {"loss": 2.0})
    run.finish("FINISHED")
    train(store.tracker(), "depth 8", 1)
    assert store.run("depth 8, seed 1").info.status == "FINISHED"


def test_runs_of_older_settings_move_aside_and_back(store: Store) -> None:
    tracker = store.tracker()
    train(tracker, "depth 8", 0)
    train(tracker, "linear", 0)
    now = [Cell("depth 8", 0, "depth 80 epochs 2")]
    tracker.open_study(now, SUBJECT)
    train(tracker, "depth 8", 0, " epochs 2")
    assert store.tree() == {
        ("decoder_size",): 1,
        ("decoder_size", "depth 8"): 1,
        ("decoder_size", "depth 8", "depth 8, seed 0"): 1,
        ("decoder_size", "older settings"): 1,
        ("decoder_size", "older settings", "linear"): 1,
        ("decoder_size", "older settings", "depth 8, seed 0"): 1,
        ("decoder_size", "older settings", "linear, seed 0"): 1,
    }
    tracker.open_study([*now, Cell("linear", 0, "linear0")], SUBJECT)
    assert store.tree()["decoder_size", "linear", "linear, seed 0"] == 1
    tracker.reconcile([], [("depth 8", 0)])
    tracker.finish_study({})
    assert {run.info.status for run in store.runs()} == {"FINISHED"}


def test_workers_of_a_server_write_to_their_runs_at_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "connect", lambda uri: store.client)
    tracker = MlflowTracker("http://server", tmp_path / "artifacts", "decoder_size")
    run = tracker.start_cell("linear", 0, {}, {"fingerprint": "f"})
    told(tracker)
    with FileLock(tmp_path / "mlflow.lock"):  # as another worker that starts a cell
        run.log_metrics(1, {"loss": 0.5})
        told(tracker)
        tracker.start_cell("linear", 1, {}, {"fingerprint": "g"})
        assert not tracker._background.wait(1)  # two processes must not both make the variant's run
    told(tracker)
    assert losses(store, store.run("linear, seed 0")) == [(1, 0.5)]


@pytest.mark.slow
@pytest.mark.distributed
def test_three_processes_on_a_new_store_make_one_tree(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from cmae_ablate.tracking import MlflowTracker, mlflow_run
mlflow_run.CELL_SECONDS = 600.0  # a busy machine may take long for the tables
out = Path({str(tmp_path)!r})
tracker = MlflowTracker(f"sqlite:///{{out}}/mlflow.db", out / "mlartifacts", "decoder_size")
for variant in ("depth 8", "depth 1"):
    run = tracker.start_cell(variant, int(sys.argv[1]), {{}}, {{"fingerprint": variant + sys.argv[1]}})
    run.log_metrics(1, {{"loss": 1.0}})
    run.finish("FINISHED")
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(seed)], env=environment) for seed in range(3)
    ]
    assert [worker.wait(timeout=180) for worker in workers] == [0, 0, 0]
    variants = [("decoder_size", variant) for variant in ("depth 8", "depth 1")]
    seeds = [(*variant, f"{variant[1]}, seed {seed}") for variant in variants for seed in range(3)]
    assert Store(tmp_path).tree() == Counter([("decoder_size",), *variants, *seeds])


def test_without_mlflow_there_is_one_warning_and_no_database(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*(each for each in sys.modules if each.split(".")[0] == "mlflow"), "mlflow"]:
        monkeypatch.setitem(sys.modules, name, None)
    store = Store(tmp_path / "out")
    with caplog.at_level(logging.WARNING):
        for study in ("decoder_size", "decoder_size/controls"):
            tracker = MlflowTracker(store.uri, store.out / "mlartifacts", study)
            tracker.open_study([Cell("depth 8", 0, "f")], SUBJECT)
            train(tracker, "depth 8", 0)
    assert caplog.text.count("is away") == 1
    assert sorted(path.name for path in store.out.iterdir()) == ["mlartifacts", "mlflow.db.lock"]


def test_tables_that_cannot_be_made_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(uri: str) -> None:
        raise RuntimeError("migration 17 failed")

    monkeypatch.setenv("CMAE_ABLATE_CACHE", str(tmp_path / "cache"))  # no tables of an earlier store
    monkeypatch.setattr(connection, "connect", refuse)
    with pytest.raises(RuntimeError):
        connection.create_tables(tmp_path / "mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_the_stores_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    Store(tmp_path / "out").tracker().address()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == {"mlflow.db": 0o600, "mlflow.db.lock": 0o600, "mlartifacts": 0o700}


def test_the_command_for_the_user_interface_names_the_store() -> None:
    command = ui_command("sqlite:////runs/of mine/mlflow.db")
    assert "mlflow" in command
    assert command.endswith(
        "ui --backend-store-uri 'sqlite:////runs/of mine/mlflow.db' --port 5000 --workers 1"
    )


def test_no_password_is_shown_in_the_command() -> None:
    assert "hunter2" not in ui_command("postgresql://me:hunter2@host/mlflow")
    assert ui_command("http://host:5000") == "http://host:5000"


@pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "mlruns", ""])
def test_a_folder_is_no_store(uri: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="write one like sqlite:"):
        MlflowTracker(uri, tmp_path / "mlartifacts", "decoder_size")
