"""Hours from FLOPs and speeds: every sum is written out."""

from __future__ import annotations

import pytest

from cmae_ablate.runner.hours import Speed, Workload, estimate
from cmae_ablate.study.trial_spec import TrialSpec
from tests.runner.workloads import workload


def test_hours_are_training_over_its_speed_and_passes_over_theirs(tiny_spec: TrialSpec) -> None:
    work = workload(tiny_spec, training={"epochs": 4})
    trained, passed = 4 * 100 * work.cost.flops_image, 130 * work.cost.flops_encode
    found = estimate(work, Speed(2e9, 5e9, measured=True), "a machine")
    assert found.hours * 3600 == pytest.approx(trained / 2e9 + passed / 5e9)
    assert found.basis.endswith("on a machine")


def test_looks_of_the_crop_strategy_are_passes_over_train(tiny_spec: TrialSpec) -> None:
    crop = {"name": "contrastive", "warmup_epochs": 2, "interval": 2}
    plain, contrastive = (
        workload(tiny_spec, training={"epochs": 6}, **more) for more in ({}, {"crop": crop})
    )
    speed = Speed(1e9, 1e9, measured=True)
    more = estimate(contrastive, speed, "").hours - estimate(plain, speed, "").hours
    # Before epochs 0, 2 and 4.
    assert more * 3600 == pytest.approx(3 * 100 * plain.cost.flops_encode / 1e9)


def test_fine_tuning_goes_at_the_speed_of_training(tiny_spec: TrialSpec) -> None:
    work = workload(tiny_spec, evaluations={"fine_tune": {"name": "fine_tune", "epochs": 5}})
    slow, fast = (estimate(work, Speed(speed, 1e9, measured=True), "").hours for speed in (1e9, 2e9))
    both = work.cost.flops_image * tiny_spec.training.epochs * 100
    both += work.cost.flops_train_encoder * 500 + work.cost.flops_encode * 30
    assert (slow - fast) * 3600 == pytest.approx(both / 1e9 - both / 2e9)


def test_compiling_comes_once_a_cell_and_not_where_nothing_is_trained(tiny_spec: TrialSpec) -> None:
    work = workload(tiny_spec)
    control = Workload(work.spec, work.size, work.cost, pretrains=False)
    for each, more in ((work, 90.0), (control, 0.0)):
        plain, compiled = (
            estimate(each, Speed(1e9, 1e9, measured=True, compiling=seconds), "").hours for seconds in (0, 90)
        )
        assert (compiled - plain) * 3600 == pytest.approx(more)
