from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.data.images import WholeImages, normalise_
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.training.loop import training_views
from cmae_ablate.training.views import TrainingViews


def test_normalised_training_images_have_mean_zero_and_deviation_one(tiny_data: DataArrays) -> None:
    unit = torch.from_numpy(np.asarray(tiny_data.train.images)).double() / 255
    found = normalise_(unit, tiny_data.mean, tiny_data.std)
    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.std((0, 2, 3)), torch.ones(3).double(), rtol=0, atol=1e-3)


def views_of(spec: TrialSpec, data: DataArrays) -> TrainingViews:
    return training_views(spec, data, Runtime())


def test_an_epoch_visits_every_image_once(tiny_spec: TrialSpec, tiny_data: DataArrays) -> None:
    order = views_of(tiny_spec, tiny_data).order(3)
    assert sorted(order.tolist()) == list(range(64))
    assert order.tolist() != views_of(tiny_spec, tiny_data).order(4).tolist()


def test_every_order_of_the_images_is_equally_likely(tiny_spec: TrialSpec, tiny_data: DataArrays) -> None:
    # Over 2,000 epochs of one seed, then over 2,000 seeds: where image 0 stands, whether image 1 follows it,
    # and how far the first two are apart. Six tests at 1e-5: a false alarm in 1 of 16,000 choices.
    of_epochs = [views_of(tiny_spec, tiny_data).order(epoch) for epoch in range(2000)]
    of_seeds = [views_of(tiny_spec.with_seed(seed), tiny_data).order(0) for seed in range(2000)]
    for orders in (np.stack(of_epochs), np.stack(of_seeds)):
        places = orders.argsort(axis=1)
        assert stats.chisquare(np.bincount(places[:, 0], minlength=64)).pvalue > 1e-5
        follows = int((places[:, 1] == places[:, 0] + 1).sum())
        assert stats.binomtest(follows, 2000, 1 / 64).pvalue > 1e-5
        assert (
            stats.chisquare(np.bincount((orders[:, 1] - orders[:, 0]) % 64, minlength=64)[1:]).pvalue > 1e-5
        )


def test_a_second_view_leaves_the_first_as_it_was(tiny_spec: TrialSpec, tiny_data: DataArrays) -> None:
    batches = views_of(tiny_spec, tiny_data)
    (alone,) = next(batches.epoch(0, 0, 1))
    first, second = next(batches.epoch(0, 0, 2))
    assert torch.equal(alone, first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("ahead", "at_once"), [(1, 1), (3, 2), (4, 1), (4, 4)])
def test_views_depend_on_epoch_and_step_alone_however_many_are_made_ahead(
    tiny_spec: TrialSpec, tiny_data: DataArrays, monkeypatch: pytest.MonkeyPatch, ahead: int, at_once: int
) -> None:
    def of(first: int, epoch: int = 1) -> list[list[torch.Tensor]]:
        return list(views_of(tiny_spec, tiny_data).epoch(epoch, first, 2))

    one_by_one = [of(step)[0] for step in range(4)]
    step = 16 * 3 * (32 * 32 * 3) * 4
    monkeypatch.setattr("cmae_ablate.training.views.AHEAD_BYTES", ahead * step)
    monkeypatch.setattr("cmae_ablate.training.views.AT_ONCE_BYTES", at_once * step)
    batches = views_of(tiny_spec, tiny_data)
    assert [batches.steps_within(most * step, 2) for most in (ahead, at_once)] == [ahead, at_once]
    for first in range(4):
        together = of(first)
        assert len(together) == 4 - first
        for found, expected in zip(together, one_by_one[first:], strict=True):
            assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert not torch.equal(of(0)[0][0], of(0)[1][0])
    assert not torch.equal(of(0)[0][0], of(0, epoch=2)[0][0])


def test_large_views_are_made_step_by_step(tiny_spec: TrialSpec, tiny_data: DataArrays) -> None:
    batches = views_of(tiny_spec, tiny_data)
    assert batches.steps_within(2**21, 1) > batches.steps_within(2**21, 2) > 1
    assert replace(batches, image_size=2048).steps_within(2**21, 1) == 1


def test_whole_images_come_in_order_at_the_encoder_size(tiny_data: DataArrays) -> None:
    whole = WholeImages(tiny_data, tiny_data.validation, 16, torch.device("cpu"))
    batches = list(whole.batches(20))
    assert [len(batch) for batch in batches] == [20, 12]
    assert batches[0].shape[1:] == (3, 16, 16)
