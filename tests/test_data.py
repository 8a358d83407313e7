from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from cmae_ablate.arrays import DataArrays
from cmae_ablate.data import TrainingViews, WholeImages, normalise_
from cmae_ablate.spec import TrialSpec


def test_normalised_training_images_have_mean_zero_and_deviation_one(tiny_data: DataArrays) -> None:
    unit = torch.from_numpy(np.asarray(tiny_data.train.images)).double() / 255
    found = normalise_(unit, tiny_data.mean, tiny_data.std)
    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.std((0, 2, 3)), torch.ones(3).double(), rtol=0, atol=1e-3)


def views_of(spec: TrialSpec, data: DataArrays) -> TrainingViews:
    crop = spec["crop"].build(len(data.train), torch.from_numpy(np.array(data.train.boxes)))
    return TrainingViews(data, crop, spec["augmentation"].build(), 32, 16, spec.seed, torch.device("cpu"))


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
    indices = batches.order(0)[:16]
    (alone,) = batches.views(indices, 0, 0, 1)
    first, second = batches.views(indices, 0, 0, 2)
    assert torch.equal(alone, first)
    assert not torch.equal(first, second)


def test_a_batch_depends_on_its_epoch_and_step_alone(tiny_spec: TrialSpec, tiny_data: DataArrays) -> None:
    indices = np.arange(16)
    again = [views_of(tiny_spec, tiny_data).views(indices, 1, 2, 1)[0] for _ in range(2)]
    other = views_of(tiny_spec, tiny_data).views(indices, 1, 3, 1)[0]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], other)


def test_whole_images_come_in_order_at_the_encoder_size(tiny_data: DataArrays) -> None:
    whole = WholeImages(tiny_data, tiny_data.validation, 16, torch.device("cpu"))
    batches = list(whole.batches(20))
    assert [len(batch) for batch in batches] == [20, 12]
    assert batches[0].shape[1:] == (3, 16, 16)
