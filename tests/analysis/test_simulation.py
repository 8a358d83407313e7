"""The simulation runs, and its committed results say what the documentation says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.simulation import simulate

RESULTS = pd.read_csv(simulate.RESULTS).set_index(["cell", "statement"])


def rows_of(statement: str, *, without: str = "variance") -> list[str]:
    """The cells that measured a statement; the variances that assume something are judged apart."""
    return [cell for cell, said in RESULTS.index if said == statement and without not in cell]


def share(cell: str, statement: str) -> float:
    assert RESULTS.loc[(cell, statement), "studies"] == 2_000
    return float(RESULTS.loc[(cell, statement), "share"])


@pytest.mark.parametrize("name", ["null: 3 to one reference, 3 seeds", "two-way: iid, 3 seeds"])
def test_a_cell_counts_whole_studies(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "STUDIES", 3)
    rows = simulate.cells()[name](tmp_path, np.random.default_rng(0))
    assert all(row["studies"] == 3 for row in rows)
    assert all(0 <= float(str(row["share"])) <= 1 for row in rows)


def test_a_simulated_difference_is_the_one_that_the_report_finds(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = simulate.draw(rng, 3, 200, gain=1.0)
    table = simulate.effects(values, simulate.to_one(2), tmp_path).set_index("variant")
    assert table.loc["v1", "delta"] == pytest.approx((values["v1"] - values["v0"]).mean(), rel=1e-12)
    assert table.loc["v1", "std_delta"] == pytest.approx(np.sqrt(2) * simulate.NOISE_SD, rel=0.2)


@pytest.mark.parametrize("cell", rows_of("power at the stated n", without="all differ"))
def test_the_stated_number_of_seeds_detects_in_75_to_85_percent(cell: str) -> None:
    assert 0.75 <= share(cell, "power at the stated n") <= 0.85


def test_a_report_detects_in_the_null_studies_in_which_scipy_does() -> None:
    cells = rows_of("family-wise error, by scipy")
    assert len(cells) >= 2
    for cell in cells:
        assert share(cell, "family-wise error") == share(cell, "family-wise error, by scipy")


@pytest.mark.parametrize(
    ("statement", "nominal"),
    [("family-wise error", 0.05), ("simultaneous intervals", 0.95), ("two-way interval", 0.95)],
)
def test_what_is_stated_of_null_studies_holds_over_all_cells_and_nearly_in_each(
    statement: str, nominal: float
) -> None:
    # Of ten right cells one lies 1.5 standard errors out by chance: that limit judges all of them together;
    # each alone has 4, which one in a thousand of such families passes by chance.
    shares = [share(cell, statement) for cell in rows_of(statement)]
    error = np.sqrt(nominal * (1 - nominal) / 2_000)
    assert len(shares) >= 8
    assert abs(np.mean(shares) - nominal) <= 1.5 * error / np.sqrt(len(shares))
    assert max(abs(each - nominal) for each in shares) <= 4 * error


def test_no_result_is_of_a_cell_that_is_simulated_no_more() -> None:
    assert {cell for cell, _ in RESULTS.index} <= set(simulate.cells())
