"""Labels, questions, reasons and logs that try to be markup, or to take the terminal over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.experiment import controls_of
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.progress import CellNote, Monitor, NoteWriter
from cmae_ablate.runner.reporting import open_queue
from cmae_ablate.runner.workers import make_places
from cmae_ablate.terminal import open_console
from tests.cli.test_app import call
from tests.test_terminal import OBEYED
from tests.tiny import TINY_STUDY

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

MARKUP, TAKEOVER = "[/x] [bold]", "\x1b[2J\x1b]8;;http://x\x07\r\u202e\x9b"
LABEL = f"linear {MARKUP} \u202e"  # control characters are refused where a study is loaded


@pytest.fixture
def hostile_study(tiny_study: Path) -> Path:
    """A study whose question and label are a stranger's."""
    text = TINY_STUDY.replace("linear: {", f"{json.dumps(LABEL)}: {{")
    tiny_study.write_text(text.replace("Does the decoder matter?", json.dumps(f"Why {MARKUP} {TAKEOVER}?")))
    return tiny_study


def assert_harmless(out: str, err: str, *, says: str = MARKUP) -> None:
    assert says in out + err
    assert not OBEYED & {*out, *err}
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["plan", "status"])
def test_a_hostile_study_is_shown_as_it_is_written(
    command: str, hostile_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, command, hostile_study, "--out", hostile_study.parent / "[bold]")
    assert code == 0
    assert_harmless(out, err, says="[bold]")


def test_a_hostile_study_is_listed_and_a_broken_one_too(
    hostile_study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    studies = hostile_study.parent / "studies"
    studies.mkdir()
    shutil.copy(hostile_study, studies / "hostile.yaml")
    (studies / "broken[x].yaml").write_text("question: [\n")
    monkeypatch.chdir(hostile_study.parent)
    code, out, err = call(capsys, "studies")
    assert code == 0
    assert "broken[x]" in out
    assert_harmless(out, err)


def test_the_reasons_of_failures_take_no_report_and_no_status_away(
    hostile_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = hostile_study.parent / "runs"
    options = Options(hostile_study, device="cpu", out=out)
    experiment = options.begin(options.load(), open_console())
    make_places(experiment, controls_of(experiment))
    queue = open_queue(experiment)
    for _ in range(4):
        claim = queue.claim("worker [/x]", log=f"log {TAKEOVER}")
        assert claim is not None
        if claim.cell.seed == 0:
            found = {"knn.top1": 20.0 + len(claim.cell.variant)}
            queue.finish(claim, found["knn.top1"], CellRecord(found, "0" * 64))
        else:
            queue.fail(claim, f"RuntimeError: no closing tag {MARKUP} {TAKEOVER}", final=True)
    capsys.readouterr()
    for command, status in (("status", 0), ("report", 1)):
        code, text, err = call(capsys, command, hostile_study, "--out", out, "--device", "cpu")
        assert code == status
        assert_harmless(text, err)
        assert "no closing tag" in " ".join(text.split())


def test_a_csv_with_hostile_labels_is_reported(
    hostile_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(label, seed, "COMPLETE", 20.0 + seed) for seed in (0, 1) for label in ("depth 1", LABEL)]
    csv = hostile_study.parent / "mine [bold].csv"
    pd.DataFrame(rows, columns=["variant", "seed", "state", "knn.top1"]).to_csv(csv, index=False)
    report = hostile_study.parent / "report [bold]"
    code, out, err = call(capsys, "report", hostile_study, "--trials", csv, "--out", report)
    assert code == 0
    assert_harmless(out, err)
    assert "\x1b" not in (report / "index.html").read_text()


def test_progress_shows_titles_and_reasons_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Monitor(tmp_path, ["a", "b"], 0, open_console()):
        note = CellNote("a", f"{LABEL}{TAKEOVER}", "failed", text=f"{MARKUP}\n{TAKEOVER}")
        NoteWriter(tmp_path, "a").write(note)
    out, err = capsys.readouterr()
    assert_harmless(out, err)
    assert out.count("\n") == 1
