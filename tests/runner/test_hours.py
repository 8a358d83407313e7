"""Hours from FLOPs and speeds: every sum is written out."""

from __future__ import annotations

import pytest

from cmae_ablate.runner.hours import Speed, Workload, estimate, without_repeats
from cmae_ablate.study.trial_spec import TrialSpec
from tests.runner.workloads import workload


def test_hours_are_training_over_its_speed_and_passes_and_fits_over_theirs(tiny_spec: TrialSpec) -> None:
    work = workload(tiny_spec, training={"epochs": 4})
    trained, passed = 4 * 100 * work.cost.flops_image, 130 * work.cost.flops_encode
    found = estimate(work, Speed(2e9, 5e9, measured=True), "a machine")
    # The linear probe: eight penalties, each about 25 looks of two products at 100 images, 32 x 32 weights.
    fitted = 8 * 25 * 2 * 100 * 2 * 32 * 32
    assert found.hours * 3600 == pytest.approx(trained / 2e9 + (passed + fitted) / 5e9)
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


def test_every_classifier_is_fitted_on_all_training_images(tiny_spec: TrialSpec) -> None:
    probe = {"name": "linear_probe_sgd", "augmented": False, "epochs": 3}
    plain, probed = (workload(tiny_spec, **more) for more in ({}, {"evaluations__sgd": probe}))
    more = [
        estimate(each, Speed(1e9, speed, measured=True), "").hours
        for speed in (1e8, 1e9)
        for each in (plain, probed)
    ]
    # 32 classes, features of 32 numbers, 100 images; their pass is the one of the others.
    fitted = 3 * 4 * 32 * 32 * 100
    assert (more[1] - more[0]) * 3600 == pytest.approx(fitted / 1e8)
    assert (more[3] - more[2]) * 3600 == pytest.approx(fitted / 1e9)


def test_an_encoder_that_two_recipes_fine_tune_is_trained_and_probed_once(tiny_spec: TrialSpec) -> None:
    plain, mixed = (
        workload(tiny_spec, evaluations__fine_tune={"name": "fine_tune", "epochs": 5, "mixup": mixup})
        for mixup in (0.0, 0.8)
    )
    longer = workload(tiny_spec, training={"epochs": tiny_spec.training.epochs + 1})
    first, second, other = without_repeats([plain, mixed, longer])
    assert (first, other) == (plain, longer)
    assert not second.pretrains
    assert list(second.spec.evaluations) == ["fine_tune"]
    speed = Speed(1e9, 1e9, measured=True)
    tuned = plain.cost.flops_train_encoder * 500 + plain.cost.flops_encode * 30
    assert estimate(second, speed, "").hours * 3600 == pytest.approx(tuned / 1e9)


def test_controls_without_pretraining_share_nothing(tiny_spec: TrialSpec) -> None:
    work = workload(tiny_spec)
    control = Workload(work.spec, work.size, work.cost, pretrains=False)
    assert without_repeats([work, control, control]) == [work, control, control]
