"""Numbers that go through `trials.csv` and `controls.csv` on disk are those that the simulation counts."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.simulation.pooling_files import RESULTS, SETTINGS, cell, study_file, summary, write_cells
from analysis.simulation.pooling_rules import Setting
from cmae_ablate.runner.data_sets import report_data_sets
from cmae_ablate.runner.options import Options
from cmae_ablate.terminal import open_console

TABLE = pd.read_csv(RESULTS)
T_2, T_3 = 4.302653, 3.182446
"""97.5 % points of Student's t with 2 and with 3 degrees of freedom."""


def test_in_no_simulated_study_do_files_say_anything_else() -> None:
    assert len(TABLE) == len(SETTINGS) == 4
    assert (TABLE["unlike"] == 0).all()
    assert TABLE["largest difference"].max() < 1e-9
    assert TABLE["holds"].tolist() == TABLE["by arithmetic"].tolist()
    assert TABLE["pooled"].between(0.3, 1).all()


def test_a_cell_of_the_simulation_goes_through_its_files(tmp_path: Path) -> None:
    setting = Setting(3, 3, "1:1", 1.0)
    row = summary(setting, pd.DataFrame(cell(setting, 4, tmp_path)))
    assert row["unlike"] == 0
    assert float(str(row["largest difference"])) < 1e-9
    assert (tmp_path / "simulated-d2" / "controls.csv").is_file()


def test_the_command_pools_what_lies_in_files_and_leaves_a_blind_data_set_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(study_file(tmp_path, Setting(5, 3, "1:1", 1.0)), out=tmp_path)
    rng = np.random.default_rng(3)
    differences = {}
    for number, part in enumerate(options.parts):
        reference = rng.normal(0, 1, 3)
        differences[str(part.dataset)] = np.array([-1.0, 0.5, 2.0]) + number
        variant = reference + differences[str(part.dataset)]
        worse = np.array([0.1, -0.1, 0.0]) if number == 1 else np.array([5.0, 5.2, 4.9])
        write_cells(tmp_path / part.load().name, reference, variant, reference - worse)
    assert report_data_sets(options, open_console()) == 0
    assert "run it first" not in capsys.readouterr().out
    with (tmp_path / "simulated" / "pooled.csv").open() as file:
        (row,) = csv.DictReader(file)
    # Of five data sets, 0.5 + 0, 1, 2, 3, 4 points, the second sees nothing.
    means = [0.5, 2.5, 3.5, 4.5]
    centre, spread = statistics.mean(means), statistics.stdev(means)
    expected = {
        "datasets": 4,
        "delta": centre,
        "ci_low": centre - T_3 * spread / 4**0.5,
        "ci_high": centre + T_3 * spread / 4**0.5,
        "prediction_low": centre - T_3 * spread * 1.25**0.5,
        "prediction_high": centre + T_3 * spread * 1.25**0.5,
        "all_datasets": 5,
        "all_delta": 2.5,
        "d1.delta": 1.5,
        # Differences -1, 0.5 and 2 have a deviation of 1.5.
        "d4.ci_low": 4.5 - T_2 * 1.5 / 3**0.5,
        # Between data sets over the squared error of a mean difference, 1.5^2 / 3.
        "F": spread**2 / 0.75,
    }
    for column, value in expected.items():
        assert float(row[column]) == pytest.approx(value, abs=1e-5), column
