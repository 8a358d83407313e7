"""MedianPruner look at a training from outside; what they see decides whether a tuning trial goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import Interrupted
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runner.pruning import MedianPruner, rung_epochs
from cmae_ablate.runner.tuning import without_test
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import Hooks

Reports = list[tuple[int, float]]


def cell_context(data: DataArrays, cache: Path) -> CellContext:
    return CellContext(without_test(data), Runtime(), cache)


def trained(
    spec: TrialSpec, place: CellContext, rungs: MedianPruner | None, stop_after: int | None = None
) -> CellRecord:
    epochs: list[int] = []

    def on_epoch(epoch: int, metrics: object) -> None:
        epochs.append(epoch)
        if rungs:
            rungs.on_epoch(epoch)

    def should_stop() -> bool:
        return stop_after in epochs or (rungs is not None and rungs.is_hopeless)

    def looks_at(epochs: int) -> bool:
        return rungs is not None and rungs.looks_at(epochs)

    return run_cell(spec, place, Hooks(on_epoch, should_stop=should_stop, looks_at=looks_at))


def watching(spec: TrialSpec, place: CellContext, told: Reports, *, verdict: bool = False) -> MedianPruner:
    def report(rung: int, value: float) -> bool:
        told.append((rung, value))
        return verdict

    return MedianPruner(spec, place, report, {}, print)


@pytest.fixture(scope="module")
def seen(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Reports, str]:
    """What an undisturbed trial of two epochs reports, and its weights."""
    place, told = cell_context(tiny_data, tmp_path_factory.mktemp("seen")), Reports()
    return told, trained(tiny_spec, place, watching(tiny_spec, place, told)).weights_sha256


def test_a_rung_is_the_same_part_of_every_training() -> None:
    assert rung_epochs(1) == {}
    assert rung_epochs(2) == {1: 2}
    assert rung_epochs(3) == {1: 1, 2: 2}
    assert rung_epochs(300) == {75: 1, 150: 2, 225: 3}


def test_looking_changes_nothing_in_the_training(
    seen: tuple[Reports, str], tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    told, weights = seen
    assert [rung for rung, _ in told] == [2]
    assert 0 <= told[0][1] <= 100
    assert trained(tiny_spec, cell_context(tiny_data, tmp_path), None).weights_sha256 == weights


def test_a_hopeless_trial_ends_with_a_reason_and_leaves_no_checkpoint(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    place = cell_context(tiny_data, tmp_path)
    rungs = watching(tiny_spec, place, Reports(), verdict=True)
    with pytest.raises(Interrupted):
        trained(tiny_spec, place, rungs)
    assert "after epoch 1 of 2 is below the median" in rungs.reason
    assert list(place.folder(tiny_spec).glob("step-*.pt"))
    rungs.forget()
    assert not list(place.folder(tiny_spec).glob("step-*.pt"))


def test_a_rung_that_a_killed_attempt_did_not_report_is_caught_up(
    seen: tuple[Reports, str], tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    place, told = cell_context(tiny_data, tmp_path), Reports()
    with pytest.raises(Interrupted):
        trained(tiny_spec, place, None, stop_after=1)
    result = trained(tiny_spec, place, watching(tiny_spec, place, told))
    assert (told, result.weights_sha256) == seen
