from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from cmae_ablate.components.evaluation_protocols import EvaluationContext
from cmae_ablate.components.evaluations.attentive_probe import (
    AttentiveProbe,
    ProbeGrid,
    Queries,
    token_standardiser,
)
from cmae_ablate.components.evaluations.features import FrozenFeatures, PixelFeatures
from cmae_ablate.components.evaluations.linear_probe import LinearProbe
from cmae_ablate.data.arrays import Split
from cmae_ablate.errors import Interrupted, UserError
from cmae_ablate.runtime import Runtime, seeded, stream
from tests.components.evaluations.patterns import counted_flops, pattern_context, pattern_data, small_encoder

QUICK: dict[str, Any] = {
    "num_queries": 2,
    "num_fits": 2,
    "epochs": 3,
    "batch_size": 32,
    "warmup_epochs": 1.0,
}


def _slow_logits(image: torch.Tensor, queries: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """What the probe says of one image (N, D), a query at a time; without the bias."""
    pooled = []
    for query in queries:
        scores = image @ query
        shares = scores.exp() / scores.exp().sum()
        pooled.append((shares.unsqueeze(1) * image).sum(dim=0))
    return torch.cat(pooled) @ weight


def _slow_probe(context: EvaluationContext, lr: float, weight_decay: float) -> list[int]:
    """What two fits of a candidate say together."""
    fits = [_slow_fit(context, fit, lr, weight_decay) for fit in range(2)]
    return [int((one + other).argmax()) for one, other in zip(*fits, strict=True)]


def _slow_fit(context: EvaluationContext, fit: int, lr: float, weight_decay: float) -> list[torch.Tensor]:
    """Class probabilities as the documentation tells them, one image at a time, in double precision."""
    data, train = context.data, context.data.train
    every = {
        split: torch.cat(list(context.features.token_batches(split))).double() for split in ("train", "test")
    }
    flat = every["train"].flatten(0, 1)
    mean, std = flat.mean(0), (flat.var(0, correction=0) + 1e-6).sqrt()
    every = {split: (tokens - mean) / std for split, tokens in every.items()}
    with seeded(context.seed, "attentive_probe", "init", fit):
        start = Queries(flat.shape[1], 2, data.num_classes)
    values = {name: value.detach().double().requires_grad_() for name, value in start.named_parameters()}
    moments = {name: (torch.zeros_like(value), torch.zeros_like(value)) for name, value in values.items()}
    taken = 0
    for epoch in range(3):
        order = torch.randperm(96, generator=stream(context.seed, "attentive_probe", "order", epoch))
        for step in range(3):
            progress = epoch + step / 3
            rate = progress if progress < 1 else 0.5 * (1 + np.cos(np.pi * (progress - 1) / 2))
            loss = torch.zeros((), dtype=torch.float64)
            for index in order[32 * step : 32 * (step + 1)].tolist():
                logits = _slow_logits(every["train"][index], values["queries"], values["weight"])
                logits = logits + values["bias"]
                loss = loss + (logits.exp().sum().log() - logits[int(train.labels[index])]) / 32
            gradients = torch.autograd.grad(loss, list(values.values()))
            taken += 1
            for (name, value), gradient in zip(values.items(), gradients, strict=True):
                first, second = moments[name]
                first.mul_(0.9).add_(gradient, alpha=0.1)
                second.mul_(0.999).add_(gradient.square(), alpha=0.001)
                change = (first / (1 - 0.9**taken)) / ((second / (1 - 0.999**taken)).sqrt() + 1e-8)
                decay = 0.0 if name == "bias" else weight_decay
                with torch.no_grad():
                    value.mul_(1 - lr * rate * decay).sub_(lr * rate * change)
    with torch.no_grad():
        return [
            (_slow_logits(image, values["queries"], values["weight"]) + values["bias"]).softmax(0)
            for image in every["test"]
        ]


def test_each_candidate_of_the_grid_is_what_it_would_be_alone_written_out_slowly() -> None:
    context = pattern_context(seed=3)
    result = AttentiveProbe(lr=(1e-2, 1e-1), weight_decay=(0.1, 3.0), **QUICK)(context)
    assert len(result.candidates) == 4
    differing = set()
    for candidate in result.candidates:
        slow = _slow_probe(context, candidate.settings["lr"], candidate.settings["weight_decay"])
        assert candidate.predictions.tolist() == slow
        differing.add(tuple(slow))
    assert len(differing) > 1


def test_a_grid_pools_as_a_cross_attention_whose_projections_it_absorbs() -> None:
    rng = torch.Generator().manual_seed(0)
    tokens, query = torch.randn(5, 9, 8, generator=rng), torch.randn(8, generator=rng)
    keys, values, head = (torch.randn(8, 8, generator=rng) for _ in range(3))
    attended = functional.scaled_dot_product_attention(
        query.expand(5, 1, 8), tokens @ keys, tokens @ values, scale=1.0
    )
    expected = attended.squeeze(1) @ head
    one = Queries(8, 1, 8)
    with torch.no_grad():
        one.queries.copy_((keys @ query)[None])
        one.weight.copy_(values @ head)
    torch.testing.assert_close(ProbeGrid([one], 1)(tokens)[0, 0], expected, rtol=1e-4, atol=1e-4)


def test_kept_tokens_and_tokens_encoded_again_give_the_same_numbers() -> None:
    data, encoder = pattern_data(), small_encoder()
    results = []
    for token_bytes in (2**30, 0):
        features = FrozenFeatures(encoder, data, Runtime(), batch_size=20, token_bytes=token_bytes)
        context = EvaluationContext(encoder, features, data, Runtime(), 0)
        results.append(AttentiveProbe(**QUICK)(context))
    kept, again = results
    for one, other in zip(kept.candidates, again.candidates, strict=True):
        assert one.metrics == other.metrics
        assert torch.equal(one.predictions, other.predictions)


def _flagged(count: int, like: Split, rng: np.random.Generator) -> Split:
    """64 patches that each show one of four marks; the class is the mark of the one that is flagged."""
    labels = np.arange(count) % 4
    marks = rng.integers(0, 4, (count, 8, 8))
    flags = np.zeros((count, 8, 8), dtype=np.uint8)
    rows, columns = rng.integers(0, 8, (2, count))
    marks[np.arange(count), rows, columns] = labels
    flags[np.arange(count), rows, columns] = 255
    pixels = np.stack([np.where(marks == pixel, 255, 0) for pixel in range(4)], axis=-1).astype(np.uint8)
    mark_images = pixels.reshape(count, 8, 8, 2, 2).transpose(0, 1, 3, 2, 4).reshape(count, 16, 16)
    flag_images = flags.repeat(2, axis=1).repeat(2, axis=2)
    images = np.stack([flag_images, mark_images, mark_images], axis=1)
    return replace(like, images=images, labels=labels, boxes=np.full((count, 4), np.nan, np.float32))


def test_it_finds_what_a_mean_over_patches_hides() -> None:
    data, rng = pattern_data(), np.random.default_rng(0)
    train, validation, test = (
        _flagged(count, split, rng)
        for count, split in ((800, data.train), (200, data.validation), (400, data.test))
    )
    data = replace(data, train=train, validation=validation, test=test)
    context = EvaluationContext(None, PixelFeatures(data), data, Runtime(), 0)
    attentive = AttentiveProbe(epochs=10, batch_size=32, lr=(3e-2,))(context)
    assert attentive.metrics["top1"] > 90.0
    assert LinearProbe()(context).metrics["top1"] < 50.0


def test_the_seed_alone_decides_the_predictions() -> None:
    first, second = (AttentiveProbe(**QUICK)(pattern_context(seed=3)) for _ in range(2))
    for one, other in zip(first.candidates, second.candidates, strict=True):
        assert torch.equal(one.predictions, other.predictions)
    other_seed = AttentiveProbe(**QUICK)(pattern_context(seed=4))
    assert any(
        not torch.equal(one.predictions, other.predictions)
        for one, other in zip(first.candidates, other_seed.candidates, strict=True)
    )


def test_an_interrupted_training_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    whole = AttentiveProbe(**QUICK)(pattern_context())
    asked = 0

    def stop_in_the_second_epoch() -> bool:
        nonlocal asked
        asked += 1
        return asked > 4

    context = replace(pattern_context(), scratch=tmp_path)
    with pytest.raises(Interrupted):
        AttentiveProbe(**QUICK)(replace(context, should_stop=stop_in_the_second_epoch))
    steps: list[tuple[int, int]] = []
    resumed = AttentiveProbe(**QUICK)(
        replace(context, on_step=lambda done, total: steps.append((done, total)))
    )
    assert steps == [(done, 9) for done in range(4, 10)]
    for one, other in zip(whole.candidates, resumed.candidates, strict=True):
        assert torch.equal(one.predictions, other.predictions)


def test_a_candidate_that_diverges_harms_no_other() -> None:
    alone = AttentiveProbe(lr=(1e-2,), weight_decay=(0.1,), **QUICK)(pattern_context())
    beside = AttentiveProbe(lr=(1e-2, 100.0), weight_decay=(0.1, 10.0), **QUICK)(pattern_context())
    sound = [c for c in beside.candidates if dict(c.settings) == {"lr": 1e-2, "weight_decay": 0.1}]
    assert torch.equal(sound[0].predictions, alone.candidates[0].predictions)


def test_features_that_are_no_numbers_are_reported() -> None:
    encoder = small_encoder()
    with torch.no_grad():
        encoder.norm.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="features of the train images are not finite"):
        AttentiveProbe(**QUICK)(pattern_context(encoder=encoder))


def test_constant_tokens_are_guessed_at() -> None:
    encoder = small_encoder()
    with torch.no_grad():
        encoder.norm.weight.zero_()
        encoder.norm.bias.fill_(0.3)
    result = AttentiveProbe(**QUICK)(pattern_context(encoder=encoder))
    assert result.metrics["top1"] == pytest.approx(25.0)


def test_tokens_are_standardised_by_all_training_tokens() -> None:
    features = pattern_context().features
    tokens = torch.cat(list(features.token_batches("train")))
    norm = torch.nn.BatchNorm1d(16, eps=1e-6, affine=False)
    expected = norm(tokens.flatten(0, 1)).reshape(tokens.shape)
    torch.testing.assert_close(token_standardiser(features)(tokens), expected, rtol=1e-4, atol=1e-5)


def test_candidates_come_strongest_first() -> None:
    probe = AttentiveProbe(lr=(1e-3, 1e-2), weight_decay=(0.1, 1.0))
    assert [(s.weight_decay, s.lr) for s in probe.settings] == [
        (1.0, 1e-3),
        (1.0, 1e-2),
        (0.1, 1e-3),
        (0.1, 1e-2),
    ]


def test_it_tells_the_flops_of_its_fit() -> None:
    context = pattern_context()
    probe = AttentiveProbe(**{**QUICK, "lr": (0.01, 0.1), "weight_decay": (0.1,)})
    grid = ProbeGrid(probe.starts(context), len(probe.settings))
    context.features.tokens("train", torch.arange(1))  # encodes them all
    standardise = token_standardiser(context.features)
    counted = counted_flops(lambda: probe.fit(grid, standardise, context, 32))
    num_patches, width = context.features.token_shape
    # 96 images, three batches of 32.
    assert counted == 96 * probe.classifier_flops(num_patches, width, context.data.num_classes)
