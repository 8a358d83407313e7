"""`plan` and `status` for programs, and `status` that goes on looking."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cmae_ablate.cli import status
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.progress import NOTES, CellNote, NoteWriter
from cmae_ablate.runner.reporting import open_queue
from cmae_ablate.runner.tuning import tuning_of
from tests.cli.test_app import call
from tests.runner import test_results as results
from tests.runner.test_search import search_study
from tests.runner.test_untaken import begun, finish
from tests.whole_study import run, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

ROOT = Path(__file__).parents[2]
SHORT = ("training.epochs=1",)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study and where all of it has run."""
    folder = tmp_path_factory.mktemp("finished")
    study, out = write_study(folder), folder / "runs"
    assert run(study, out, settings=SHORT, seeds=1) == 0
    return study, out


def record(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    code, out, _ = call(capsys, *arguments, "--device", "cpu", "--json")
    assert code == 0
    return json.loads(out)


def test_plan_as_json_holds_every_variant_with_its_cost(
    tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = record(capsys, "plan", tiny_study, "--out", tiny_study.parent / "runs")
    assert not (tiny_study.parent / "runs").exists()
    assert (plan["study"], plan["seeds"], plan["cells"], plan["reference"]) == ("tiny_study", 2, 4, "depth 1")
    assert [each["variant"] for each in plan["variants"]] == ["depth 1", "linear"]
    # A linear decoder: from 32 to the 8 x 8 x 3 pixels of a patch.
    assert plan["variants"][1]["params_decoder"] >= 32 * 192 + 192
    parts = [*plan["variants"], *plan["controls"]]
    assert plan["hours"] == pytest.approx(sum(each["cells"] * each["hours"] for each in parts))
    assert plan["control_cells"] == sum(each["cells"] for each in plan["controls"])
    assert plan["tuning"] is None


def test_status_as_json_before_anything_ran(tiny_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = record(capsys, "status", tiny_study, "--out", tiny_study.parent / "runs")
    assert (found["has_run"], found["is_over"], found["cells"]) == (False, False, [])
    assert not (tiny_study.parent / "runs").exists()


def test_status_as_json_holds_cells_and_controls(
    finished: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    study, out = finished
    found = record(capsys, "status", study, "--out", out, "--set", SHORT[0], "--seeds", 1)
    assert (found["has_run"], found["is_over"], found["left"], found["hours_left"]) == (True, True, 0, 0.0)
    assert found["untaken"] == 0
    cells = [each for each in found["cells"] if each["kind"] == "cell"]
    assert [(each["variant"], each["seed"], each["state"]) for each in cells] == [
        ("depth 1", 0, "complete"),
        ("linear", 0, "complete"),
    ]
    assert all(0 <= each["value"] <= 100 for each in cells)
    assert {each["variant"] for each in found["cells"] if each["kind"] == "control"} >= {"random init"}
    more = record(capsys, "status", study, "--out", out, "--set", SHORT[0], "--seeds", 3)
    assert (more["is_over"], [each["state"] for each in more["cells"]].count("waiting")) == (
        False,
        more["left"],
    )


def test_watching_what_is_over_ends_at_once(finished: tuple[Path, Path]) -> None:
    study, out = finished
    console = Console(file=io.StringIO(), width=140)
    status.watch_status(
        Options(study, device="cpu", out=out, settings=SHORT, seeds=1), console, pause=pytest.fail
    )
    assert isinstance(console.file, io.StringIO)
    assert "2 of 2 cells complete" in console.file.getvalue()


def test_watching_tells_what_changes_until_all_is_done(finished: tuple[Path, Path]) -> None:
    study, out = finished
    looks = 0

    def meanwhile(seconds: float) -> None:
        """Two looks at the same; then the second seed is trained."""
        nonlocal looks
        looks += 1
        if looks == 3:
            assert run(study, out, settings=SHORT, seeds=2) == 0

    console = Console(file=io.StringIO(), width=140)
    status.watch_status(
        Options(study, device="cpu", out=out, settings=SHORT, seeds=2), console, pause=meanwhile
    )
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert looks == 3
    assert [text.count(words) for words in ("2 of 4 cells complete", "4 of 4 cells complete")] == [1, 1]


def test_ctrl_c_ends_watching_with_130_and_no_traceback(tiny_study: Path) -> None:
    # Where the tests run in a shell's background, Ctrl-C is ignored, and so by what they start.
    hears = ["env", "--default-signal=INT"]
    command = [*hears, sys.executable, "-u", "-m", "cmae_ablate", "status", str(tiny_study), "--watch"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        cwd=tiny_study.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("status ")
        assert "nothing has run yet" in process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "Traceback" not in process.stderr.read()


def test_watch_and_json_do_not_go_together(tiny_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "status", tiny_study, "--watch", "--json")
    assert code == 2
    assert "only one of them" in err


def test_components_as_json_hold_defaults_as_values(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "components", "moco_v3", "--json")
    assert code == 0
    rows = {row["option"]: row for row in json.loads(out)}
    assert (rows["temperature"]["slot"], rows["temperature"]["default"]) == ("objectives.contrastive", 0.2)
    _, out, _ = call(capsys, "components", "--json")
    assert {"crop", "decoder", "training", "evaluations"} <= {row["slot"] for row in json.loads(out)}


def test_watching_ends_where_nobody_reads_any_more(tiny_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "lost_output", BrokenPipeError)
    options = Options(tiny_study, device="cpu", out=tiny_study.parent / "runs")
    status.watch_status(options, Console(file=io.StringIO()), pause=pytest.fail)


def test_status_says_since_when_a_running_cell_has_taken_no_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, out = write_study(tmp_path), tmp_path / "runs"
    options = Options(study, settings=SHORT, seeds=1, device="cpu", out=out)
    experiment = options.begin(options.load(), Console(quiet=True))
    claim = open_queue(experiment).claim("worker")
    assert claim is not None
    note = CellNote(claim.cell.id, "depth 1, seed 0", "evaluating", patience=0.0)
    NoteWriter(experiment.folder / NOTES, claim.cell.id).write(note)
    arguments = [study, "--out", out, "--seeds", "1", "--set", *SHORT]
    told = call(capsys, "status", *arguments, "--device", "cpu")[1]
    assert "no step since" in " ".join(told.split())
    silent = [each["no_step_seconds"] for each in record(capsys, "status", *arguments)["cells"]]
    assert silent[0] > 0
    assert silent[1:] == [None] * (len(silent) - 1)


def test_status_on_80_columns_keeps_words_whole_and_names_each_cells_log() -> None:
    long = "MAE with strong augmentation"
    log = "/home/somebody/studies/runs/cmae_vs_mae-hour/logs/worker-0.log"
    cells = [
        replace(results.status(long, seed, {"knn.top1": 1.0}), log=log, worker="vm-24302", value=20.5)
        for seed in range(2)
    ]
    cells.append(replace(results.status("MAE", 0, None), attempts=1, reason="no room", log="/logs/1.log"))
    console = Console(file=io.StringIO(), width=80)
    status._show_cells(cells, "attentive_probe.top1", console, {})
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    words = set(text.split())
    assert {"attentive_probe.top1", "complete", "waiting", "attempts", "vm-24302", "20.50"} <= words
    assert f"{log}\n  {long}, seed 0; {long}, seed 1\n" in text
    assert "no room /logs/1.log\n  MAE, seed 0\n" in text
    assert "heartbeat" not in words  # nothing runs
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize("width", [80, 120, 160, 200, 240])
@pytest.mark.parametrize("folder", ["/runs/logs", "/home/somebody/studies/runs/cmae_vs_mae-hour/logs"])
def test_a_log_can_be_copied_whole_at_any_width(width: int, folder: str) -> None:
    labels = ("MAE", "small decoder + contrastive + position + ContrastiveCrop")
    cells = [
        replace(results.status(label, seed, {"knn.top1": 1.0}), log=f"{folder}/worker-{seed}.log", worker="a")
        for label in labels
        for seed in range(2)
    ]
    reason = "RuntimeError: the loss 'contrastive' is not finite at step 12 of epoch 3"
    failed = replace(cells[0], state="FAILED", value=None, reason=reason)
    for shown in (cells, [*cells, failed]):
        console = Console(file=io.StringIO(), width=width)
        status._show_cells(shown, "attentive_probe.top1", console, {})
        assert isinstance(console.file, io.StringIO)
        text = console.file.getvalue()
        assert {f"{folder}/worker-0.log", f"{folder}/worker-1.log"} <= set(text.split())
        assert reason in text or shown is cells
        table = [line for line in text.splitlines() if line[:1] in "\u2503\u2502\u250f\u2521\u2514"]
        assert len({len(line) for line in table}) <= 1


def test_what_is_left_is_not_told_by_cells_that_were_trained_on_another_machine(tmp_path: Path) -> None:
    imported = results.status("a", 0, {"seconds.pretrain": 36_000.0})
    here = results.status("b", 0, {"seconds.pretrain": 3600.0}, folder=tmp_path)
    waiting = results.status("a", 1, None)
    assert status.hours_left([imported, waiting]) is None
    assert status.hours_left([imported, here, waiting]) == 1.0


def test_status_as_json_counts_finished_cells_that_are_not_taken(
    tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tiny_study.parent / "runs"
    assert record(capsys, "status", tiny_study, "--out", out)["untaken"] is None
    finish(begun(tiny_study, out=out), cells=3)
    assert record(capsys, "status", tiny_study, "--out", out)["untaken"] == 0
    assert record(capsys, "status", tiny_study, "--out", out, "--set", SHORT[0])["untaken"] == 3
    # As on the screen: of variants and seeds that are still to do, alone.
    code, text, _ = call(capsys, "status", tiny_study, "--out", out, "--set", SHORT[0])
    assert code == 0
    assert "3 finished cells of variants and seeds still to do are not taken" in " ".join(text.split())


def test_status_as_json_counts_tuning_trials_that_are_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, out = search_study(tmp_path), tmp_path / "runs"
    finish(tuning_of(begun(study, out=out)), cells=1)
    assert record(capsys, "status", study, "--out", out)["untaken"] == 0
    assert record(capsys, "status", study, "--out", out, "--set", "training.batch_size=8")["untaken"] == 1
