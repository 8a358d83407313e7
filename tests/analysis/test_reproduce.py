"""What is said of a study that was run again: equal, different, or measured, column by column."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis import reproduce
from analysis.reproduce import compare

COMMITTED = Path(__file__).parents[2] / "analysis" / "decoder_size"
Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture
def again(tmp_path: Path) -> Path:
    """The committed study, as if it had been run again with other timings."""
    folder = tmp_path / "again"
    shutil.copytree(COMMITTED, folder)
    edit(folder, "trials.csv", lambda table: table.assign(**{"seconds.pretrain": "1.5"}))
    edit(folder, "table.csv", lambda table: table.assign(**{"memory.pretrain": "2.5"}))
    return folder


def edit(folder: Path, name: str, change: Change) -> None:
    change(pd.read_csv(folder / name, dtype=str, keep_default_na=False)).to_csv(folder / name, index=False)


def first(column: str, change: Callable[[str], str]) -> Change:
    """A change of one column's first cell."""

    def changed(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{column: [change(table[column][0]), *table[column][1:]]})

    return changed


def put(value: str) -> Callable[[str], str]:
    return lambda old: value


def moved(by: float) -> Callable[[str], str]:
    return lambda old: repr(float(old) + by)


def added(digits: str) -> Callable[[str], str]:
    return lambda old: old + digits


def test_timings_alone_are_no_difference(again: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(COMMITTED, again) == 0
    told = capsys.readouterr().out
    assert "measured, not compared: seconds.pretrain, memory.pretrain" in told
    assert told.endswith("reproduced, bit for bit\n")
    assert "different" not in told


@pytest.mark.parametrize(
    ("file", "column", "change", "told"),
    [
        ("trials.csv", "knn.top1", added("0000000000000001"), "different in 1 row, by at most 0"),
        ("trials.csv", "attentive_probe.top1", moved(0.03125), "different in 1 row, by at most 0.0312"),
        ("trials.csv", "weights_sha256", put("abc"), "different in 1 row\n"),
        ("controls.csv", "knn.top1", moved(3.875), "knn.top1: different in 1 row, by at most 3.88"),
        ("effects.csv", "verdict", put("higher"), "verdict: different in 1 row\n"),
    ],
)
def test_the_smallest_other_digit_is_named_by_file_and_column(
    file: str,
    column: str,
    change: Callable[[str], str],
    told: str,
    again: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(again, file, first(column, change))
    assert compare(COMMITTED, again) == 1
    out = capsys.readouterr().out
    assert told in out
    assert f"NOT reproduced: {file} {column}\n" in out


def test_another_processor_may_differ_by_half_a_point_of_accuracy_and_no_more(
    again: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(again, "trials.csv", lambda table: table.assign(device="cpu: another"))
    edit(again, "trials.csv", lambda table: table.assign(weights_sha256="other"))
    edit(again, "trials.csv", first("attentive_probe.top1", moved(0.4)))
    assert compare(COMMITTED, again) == 0
    out = capsys.readouterr().out
    assert "weights_sha256: different in 12 rows" in out
    assert "reproduced: another processor, within 0.5 points" in out
    edit(again, "trials.csv", first("attentive_probe.top1", moved(0.2)))
    assert compare(COMMITTED, again) == 1


def test_a_missing_cell_column_or_file_is_no_reproduction(
    again: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(again, "trials.csv", lambda table: table.drop(index=3))
    assert compare(COMMITTED, again) == 1
    assert "(rows): different in 1 row" in capsys.readouterr().out
    shutil.copy(COMMITTED / "trials.csv", again)
    edit(again, "effects.csv", lambda table: table.drop(columns="dz"))
    assert compare(COMMITTED, again) == 1
    assert "NOT reproduced: effects.csv dz" in capsys.readouterr().out
    shutil.copy(COMMITTED / "effects.csv", again)
    (again / "controls.csv").unlink()
    assert compare(COMMITTED, again) == 1
    assert "controls.csv: missing there" in capsys.readouterr().out


@pytest.mark.parametrize(("scale", "seeds"), [(None, None), ("hour", "5")])
def test_the_command_runs_the_study_and_looks_where_it_writes(
    scale: str | None,
    seeds: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[list[str]] = []
    name = f"decoder_size-{scale}" if scale else "decoder_size"

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        shutil.copytree(COMMITTED.parent / name, Path(command[command.index("--out") + 1]) / name)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(reproduce, "OUT", tmp_path)
    monkeypatch.setattr(reproduce.subprocess, "run", run)
    assert reproduce.main(["decoder_size", *([scale] if scale else [])]) == 0
    assert asked[0][3] == "run"
    assert Path(asked[0][4]).name == "decoder_size.yaml"
    asked_for = dict(zip(asked[0][5::2], asked[0][6::2], strict=True))
    assert (asked_for.get("--scale"), asked_for.get("--seeds")) == (scale, seeds)
    assert capsys.readouterr().out.endswith("reproduced, bit for bit\n")


def test_a_study_without_a_committed_result_is_said_to_have_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reproduce, "HERE", tmp_path)
    assert reproduce.main(["decoder_size"]) == 1
    assert "no committed trials.csv" in capsys.readouterr().err
