from __future__ import annotations

import pytest
import torch

from cmae_ablate.components.evaluations.linear_probe import LinearProbe
from cmae_ablate.components.evaluations.linear_probe_sgd import LinearProbeSgd, probe_head, probe_optimizer
from tests.components.evaluations.patterns import counted_flops, pattern_context


def test_on_cached_features_it_comes_close_to_the_converged_probe() -> None:
    context = pattern_context()
    trained = LinearProbeSgd(augmented=False, batch_size=32, base_lr=1.0)(context)
    converged = LinearProbe(l2=(1e-3,))(context)
    assert trained.metrics["top1"] == pytest.approx(converged.metrics["top1"], abs=10.0)


def test_augmented_images_are_learnt_from() -> None:
    result = LinearProbeSgd(epochs=15, batch_size=16, base_lr=1.0)(pattern_context())
    assert result.metrics["top1"] > 50.0


def test_the_seed_alone_decides_the_predictions() -> None:
    def predictions(seed: int) -> list[int]:
        result = LinearProbeSgd(augmented=False, epochs=2, batch_size=8)(pattern_context(seed=seed))
        assert result.predictions is not None
        return result.predictions.tolist()

    assert predictions(0) == predictions(0)
    assert predictions(0) != predictions(1)


def test_lars_takes_the_step_of_mae() -> None:
    probe = probe_head(width=6, num_classes=3)
    head = probe[-1]
    rng = torch.Generator().manual_seed(0)
    head.weight.grad = torch.randn(3, 6, generator=rng)
    head.bias.grad = torch.randn(3, generator=rng)
    weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
    trust = 0.001 * weight.norm() / head.weight.grad.norm()
    optimizer = probe_optimizer(probe, "lars", weight_decay=0.0)
    for group in optimizer.param_groups:
        group["lr"] = 2.0
    optimizer.step()
    torch.testing.assert_close(head.weight.detach(), weight - 2.0 * trust * head.weight.grad)
    torch.testing.assert_close(head.bias.detach(), bias - 2.0 * head.bias.grad)


def test_a_warm_up_as_long_as_the_training_is_shortened() -> None:
    assert LinearProbeSgd(epochs=4, warmup_epochs=10.0).warmup_epochs == 2.0


def test_it_tells_the_flops_of_its_fit() -> None:
    context = pattern_context()
    width = context.features.get("train", "mean").shape[1]
    context.features.get("validation", "mean")
    context.features.get("test", "mean")
    data, probe = context.data, LinearProbeSgd(augmented=False, epochs=3, batch_size=32)
    tested = 2 * width * data.num_classes * (len(data.validation) + len(data.test))
    fitted = 96 * probe.classifier_flops(1, width, data.num_classes)
    assert counted_flops(lambda: probe(context)) == fitted + tested
