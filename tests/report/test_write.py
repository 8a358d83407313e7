"""One set of numbers in every file of the report."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import pytest

from cmae_ablate.errors import NoRoomError, UserError
from cmae_ablate.report import ReportFiles, write, write_report
from cmae_ablate.report.frame import StudyDescription
from tests.report.conftest import METRIC, build_study

CONTROLS = pd.DataFrame(
    {
        "control": ["random init", "random init", "raw pixels"],
        "variant": ["", "", ""],
        "seed": [0, 1, 0],
        METRIC: [16.0, 17.0, 14.7],
    }
)


Built = tuple[StudyDescription, pd.DataFrame]
Report = tuple[StudyDescription, Path, ReportFiles]


@pytest.fixture(scope="module")
def built() -> Built:
    rng = np.random.default_rng(21)
    base = rng.normal(34, 1.5, 4)
    values = {f"depth {d}": list(base - i + rng.normal(0, 0.6, 4)) for i, d in enumerate((8, 4, 1))}
    return build_study(values, report=("knn.top1", "fine_tune.top1"))


@pytest.fixture(scope="module")
def report(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Report:
    study, trials = built
    out = tmp_path_factory.mktemp("report")
    return study, out, write_report(study, trials, CONTROLS, out)


def test_the_contracts_files_are_written(report: Report) -> None:
    _, out, files = report
    promised = {"table.csv", "table.md", "table.tex", "table.png", "effects.csv", "effects.png", "index.html"}
    promised |= {"answer.json", "control_effects.csv"}
    assert promised <= {path.name for path in out.iterdir()}
    assert set(files.paths) == {path.name for path in out.iterdir()}


def test_table_csv_and_effects_csv_hold_the_same_numbers(
    report: Report,
) -> None:
    study, out, _ = report
    table, effects = (pd.read_csv(out / name).set_index("variant") for name in ("table.csv", "effects.csv"))
    shared = ["n", "mean", "std", "delta", "ci_low", "ci_high", "p", "p_holm", "dz"]
    pd.testing.assert_frame_equal(
        table.loc[list(study.variants), shared], effects[shared], check_exact=True, check_dtype=False
    )


@pytest.mark.parametrize("name", ["table.md", "index.html", "table.tex"])
def test_every_rounded_number_is_the_csvs(
    name: str, report: tuple[StudyDescription, Path, ReportFiles]
) -> None:
    study, out, _ = report
    text = (out / name).read_text()
    text = text.replace("$-$", "\u2212").replace(r"$\pm$", "\u00b1").replace("{[}", "[").replace("{]}", "]")
    text = text.replace("\\[", "[")
    effects = pd.read_csv(out / "effects.csv").set_index("variant")
    for variant in study.variants[1:]:
        row = effects.loc[variant]
        assert f"{row['mean']:.2f} \u00b1 {row['std']:.2f}" in text
        signed = [f"{row[c]:+.2f}".replace("-", "\u2212") for c in ("delta", "ci_low", "ci_high")]
        assert f"{signed[0]} [{signed[1]}, {signed[2]}]" in text


def test_the_terminal_gets_the_page_s_table(report: Report) -> None:
    _, out, files = report
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", (out / "index.html").read_text())
    for line in files.table[1:]:
        assert set(line) <= set(cells)


def test_controls_stand_in_the_table_and_in_no_comparison(
    report: Report,
) -> None:
    _, out, _ = report
    table = pd.read_csv(out / "table.csv").set_index("variant")
    assert table.loc["random init", ["kind", "n", "mean"]].tolist() == ["control", 2, 16.5]
    assert np.isnan(table.loc["random init", "delta"])
    assert "random init" not in (out / "effects.csv").read_text()


def test_accuracy_stands_beside_cost(report: Report) -> None:
    _, _, files = report
    header, first, *_ = files.table
    assert {"encoder (M)", "decoder (M)", "GFLOPs/image", "seconds"} <= set(header)
    assert first[header.index("encoder (M)")] == "0.452"


def test_the_same_trials_give_the_same_bytes(report: Report, built: Built, tmp_path: Path) -> None:
    study, out, _ = report
    write_report(study, built[1], CONTROLS, tmp_path)
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_a_report_that_meets_a_full_disk_leaves_the_one_before_as_it_was(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, trials = built
    write_report(study, trials, None, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fails(*arguments: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write, "render", fails)
    with pytest.raises(NoRoomError, match=f"^{tmp_path}: no room left on its disk"):
        write_report(study, trials.assign(**{METRIC: trials[METRIC] + 1}), None, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_the_users_mistake(tmp_path: Path, build: Callable) -> None:
    (tmp_path / "file").write_text("in the way")
    study, trials = build({"MAE": [1.0, 2.0]})
    with pytest.raises(UserError, match="cannot be written"):
        write_report(study, trials, None, tmp_path / "file" / "report")


def test_a_metric_to_show_that_is_not_there_is_noted(
    report: Report,
) -> None:
    assert "no column 'fine_tune.top1' in the trials; not shown" in report[2].notes


def test_the_report_needs_no_torch() -> None:
    code = "import sys, cmae_ablate.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_tie_of_other_weights_shows_no_interval_of_no_width(build: Callable, tmp_path: Path) -> None:
    # Two encoders, 12 test images, the same number of right answers: nothing is known to within 0.00 points.
    study, trials = build({"MAE": [25.0, 100 / 3], "CMAE": [25.0, 100 / 3]})
    write_report(study, trials, None, tmp_path)
    assert "[0.00, 0.00]" not in (tmp_path / "table.md").read_text()
    assert "0.00 (alike in every seed)" in (tmp_path / "table.md").read_text()
