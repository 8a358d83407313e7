from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from cmae_ablate.components.evaluations.linear_probe import LinearProbe
from cmae_ablate.components.evaluations.logistic import Standardiser, fit_path
from tests.components.evaluations.patterns import counted_flops, pattern_context, pattern_data


def _problem(
    count: int = 600, width: int = 24, classes: int = 6
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Strongly correlated features of overlapping classes."""
    rng = torch.Generator().manual_seed(3)
    labels = torch.randint(0, classes, (count,), generator=rng)
    centres = 0.3 * torch.randn(classes, width, generator=rng)
    mixing = torch.randn(width, width, generator=rng) / torch.arange(1, width + 1).unsqueeze(1)
    features = (torch.randn(count, width, generator=rng) + centres[labels]) @ mixing
    return Standardiser.of(features)(features), labels, mixing


@pytest.mark.parametrize("penalty", [1e-1, 1e-3, 1e-5, 1e-7])
def test_a_fit_agrees_with_scikit_learn(penalty: float) -> None:
    features, labels, _ = _problem()
    (fit,) = fit_path(features, labels, 6, [penalty])
    reference = LogisticRegression(C=1 / (len(features) * penalty), max_iter=20_000, tol=1e-8)
    reference.fit(features.double().numpy(), labels.numpy())
    weight, bias = torch.tensor(reference.coef_.T), torch.tensor(reference.intercept_)
    logits = features.double() @ weight + bias
    best = functional.cross_entropy(logits, labels) + 0.5 * penalty * weight.square().sum()
    assert fit.converged
    assert fit.loss == pytest.approx(best.item(), rel=1e-4)
    assert (fit.predict(features) == logits.argmax(dim=1)).double().mean() > 0.99


def test_a_warm_start_ends_where_a_cold_one_does() -> None:
    features, labels, _ = _problem()
    *_, warm = fit_path(features, labels, 6, [1e-1, 1e-2, 1e-3])
    (cold,) = fit_path(features, labels, 6, [1e-3])
    assert warm.loss == pytest.approx(cold.loss, rel=1e-4)


def test_a_constant_feature_without_penalty_breaks_nothing() -> None:
    features, labels, _ = _problem()
    constant = torch.cat([features, torch.zeros(len(features), 1)], dim=1)
    (fit,) = fit_path(constant, labels, 6, [0.0])
    assert torch.isfinite(fit.weight).all()


def test_features_are_standardised_as_batch_norm_does() -> None:
    rng = torch.Generator().manual_seed(0)
    features = 3.0 + 5.0 * torch.randn(50, 7, generator=rng)
    norm = torch.nn.BatchNorm1d(7, eps=1e-6, affine=False)
    torch.testing.assert_close(Standardiser.of(features)(features), norm(features))


def test_the_penalty_of_best_validation_accuracy_is_chosen() -> None:
    context = pattern_context()
    grid = (1e3, 1e-1, 1e-3)
    alone = {value: LinearProbe(l2=(value,))(context).metrics["validation_top1"] for value in grid}
    result = LinearProbe(l2=grid)(context)
    assert result.metrics["validation_top1"] == pytest.approx(max(alone.values()), abs=4.0)
    assert result.chosen["l2"] == max(grid, key=lambda value: (alone[value], value))


def test_the_grid_goes_well_below_where_the_best_penalty_was_seen() -> None:
    assert max(LinearProbe().l2) >= 1e-1
    assert min(LinearProbe().l2) <= 1e-7


def test_every_penalty_is_reported_as_if_it_were_the_only_one() -> None:
    result = LinearProbe(l2=(1e-1, 1e-2))(pattern_context())
    assert [dict(candidate.settings) for candidate in result.candidates] == [{"l2": 1e-1}, {"l2": 1e-2}]
    alone = LinearProbe(l2=(1e-1,))(pattern_context())
    assert torch.equal(result.candidates[0].predictions, alone.candidates[0].predictions)
    assert result.candidates[0].metrics == alone.metrics


def test_equal_validation_accuracies_choose_the_stronger_penalty() -> None:
    # Both so strong that every prediction comes from the bias alone.
    assert LinearProbe(l2=(1e4, 1e5))(pattern_context()).chosen["l2"] == 1e5


def test_the_probe_is_deterministic() -> None:
    first, second = (LinearProbe(l2=(1e-1, 1e-3))(pattern_context()) for _ in range(2))
    assert first.metrics == second.metrics
    assert torch.equal(first.predictions, second.predictions)


def test_validation_labels_have_no_part_in_the_fit() -> None:
    data = pattern_data()
    noise = np.random.default_rng(0).permutation(data.validation.labels)
    other = replace(data, validation=replace(data.validation, labels=noise))
    results = [LinearProbe(l2=(1e-3,))(pattern_context(labelled)) for labelled in (data, other)]
    assert torch.equal(results[0].predictions, results[1].predictions)


def test_the_shipped_scale_is_probed_within_eight_seconds_of_a_processor() -> None:
    features, labels, _ = _problem(6400, 96, 32)
    start = time.process_time()
    list(fit_path(features, labels, 32, LinearProbe().l2))
    assert time.process_time() - start < 8.0


def test_it_tells_about_the_flops_of_its_fits() -> None:
    """How many iterations they take is the data's: nobody knows beforehand."""
    features, labels, _ = _problem()
    probe = LinearProbe()
    counted = counted_flops(lambda: list(fit_path(features, labels, 6, probe.l2)))
    told = 600 * probe.classifier_flops(1, 24, 6)
    assert told / 3 < counted < 3 * told
