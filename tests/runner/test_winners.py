"""Which trials win, and what the intervals of a table of winners hold, by simulation without any training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from cmae_ablate.queue import CellStatus, Proposals
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.tuning import frozen, tuning_of
from cmae_ablate.runner.winners import Winners, winners
from tests.runner.test_search import search_study
from tests.whole_study import quiet

RATE = "training.base_lr"
LOW, HIGH = 1e-4, 1e-1
TRIALS, TUNING_SEEDS, TABLE_SEEDS = 6, 3, 10
STUDIES = 2000
T_975 = 2.262157
"""The 97.5 % point of t with 9 degrees of freedom."""
FALL = 8.0
"""Points of accuracy from the best rate to the end of the range that is further away, at most."""
NOISE = math.hypot(0.5, 39 / math.sqrt(2 * 3200))
"""Of a training, and of 3,200 validation images, in points."""


def study(folder: Path, *, repeat: bool) -> Experiment:
    path = search_study(
        folder, trials=TRIALS, seeds=TUNING_SEEDS, more=f"  repeat: {'true' if repeat else 'false'}\n"
    )
    path.write_text(path.read_text().replace("seeds: 1\nmetric", f"seeds: {TABLE_SEEDS}\nmetric"))
    options = Options(path, device="cpu", out=folder / "runs")
    return options.begin(options.load(), quiet())


def score(rate: object, best: float) -> float:
    """True accuracy by where a rate lies in the range, from 0 to 1; both methods have the same."""
    place = math.log(float(str(rate)) / LOW) / math.log(HIGH / LOW)
    return -FALL * (place - best) ** 2


class Tuned:
    """A study's tuning trials with validation values that are made up: of two methods that are the same."""

    def __init__(self, experiment: Experiment) -> None:
        search = experiment.study.search
        assert search is not None
        self.experiment, self.planned = experiment, tuning_of(experiment).planned
        proposals = Proposals(search)
        self.settings = [dict(proposals.propose(cell, ()).settings) for cell in self.planned]

    def winners(self, best: float, noise: NDArray[np.float64]) -> Winners:
        statuses = [
            CellStatus(cell, "COMPLETE", value=score(tried[RATE], best) + each, settings=tried)
            for cell, tried, each in zip(self.planned, self.settings, noise, strict=True)
        ]
        found = winners(self.experiment, statuses)
        assert found is not None
        return found

    def rejects(self, rng: np.random.Generator) -> bool:
        """Whether a paired t test over the table's seeds tells the two methods apart."""
        # Which rate is best is drawn, too: points are the same in all studies of one search.
        best = rng.uniform()
        won = self.winners(best, rng.normal(0, NOISE, len(self.planned)))
        table = {
            label: np.array([score(winner.settings[RATE], best) for winner in each])
            + rng.normal(0, NOISE, TABLE_SEEDS)
            for label, each in won.items()
        }
        differences = table["depth 1"] - table["linear"]
        error = differences.std(ddof=1) / math.sqrt(TABLE_SEEDS)
        return bool(abs(differences.mean()) > T_975 * error)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return tmp_path_factory.mktemp


def test_two_identical_methods_differ_in_five_percent_where_each_seed_is_tuned_anew(
    folder: Callable[[str], Path],
) -> None:
    told = {}
    for repeat in (True, False):
        tuned, rng = Tuned(study(folder("study"), repeat=repeat)), np.random.default_rng(15)
        told[repeat] = sum(tuned.rejects(rng) for _ in range(STUDIES))
    low, high = binom.interval(0.99, STUDIES, 0.05)
    assert low <= told[True] <= high
    # One tuning for all seeds: that chance gave two methods different rates is taken for a difference.
    assert told[False] > 1.5 * 0.05 * STUDIES > high


def test_every_seed_is_trained_with_the_best_trial_of_its_own_tuning(folder: Callable[[str], Path]) -> None:
    experiment = study(folder("study"), repeat=True)
    tuned = Tuned(experiment)
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, len(tuned.planned))
    won = tuned.winners(0.5, values)
    # By hand: seed s of the table has the tuning seeds 1000 + 3 s to 1002 + 3 s.
    expected = {}
    for label in ("depth 1", "linear"):
        for seed in range(TABLE_SEEDS):
            means: dict[float, list[float]] = {}
            for cell, tried, value in zip(tuned.planned, tuned.settings, values, strict=True):
                if cell.variant.startswith(label) and (cell.seed - 1000) // 3 == seed:
                    rate = float(str(tried[RATE]))
                    means.setdefault(rate, []).append(score(rate, 0.5) + value)
            assert {len(each) for each in means.values()} == {3}
            expected[label, seed] = max(means, key=lambda rate: sum(means[rate]))
            assert won[label][seed].tried == {RATE: (min(means), max(means))}
    found = frozen(experiment, won)
    rates = {(cell.variant.label, cell.seed): cell.spec.training.base_lr for cell in found.cells}
    assert rates == expected
    assert len(set(rates.values())) > TABLE_SEEDS  # some pairs chose differently
    assert {cell.spec.seed for cell in found.cells} == set(range(TABLE_SEEDS))


def test_without_a_winner_of_every_tuning_there_is_none(folder: Callable[[str], Path]) -> None:
    experiment = study(folder("study"), repeat=True)
    planned = tuning_of(experiment).planned

    def statuses(pruned: Sequence[int]) -> list[CellStatus]:
        return [
            CellStatus(
                cell,
                "PRUNED" if cell.seed in pruned else "COMPLETE",
                value=None if cell.seed in pruned else 1.0,
            )
            for cell in planned
        ]

    assert winners(experiment, statuses([])) is not None
    assert winners(experiment, statuses([1003])) is None  # all trials of the second seed's tuning
