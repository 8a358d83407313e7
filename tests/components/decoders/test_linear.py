"""The linear decoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.testing import assert_close

from cmae_ablate.components.decoders.linear import LinearDecoder
from cmae_ablate.components.networks import View
from cmae_ablate.tokens import PatchMask

GRID = (3, 4)


def make() -> tuple[LinearDecoder, PatchMask]:
    torch.manual_seed(0)
    return LinearDecoder(16, GRID, 10), PatchMask.from_scores(torch.rand(2, 12), 4)


def decode(decoder: LinearDecoder, mask: PatchMask, tokens: Tensor) -> Tensor:
    result: Tensor = decoder(View(torch.zeros(2, 3, 6, 8), mask, tokens))
    return result


def test_predictions_agree_with_a_loop_over_patches() -> None:
    decoder, mask = make()
    tokens = torch.randn(2, 5, 16)
    predictions = decode(decoder, mask, tokens)
    for image in range(2):
        for order, place in enumerate(mask.ids_hidden[image].tolist()):
            weights = [
                math.exp(decoder.affinity[place, seen].item()) for seen in mask.ids_keep[image].tolist()
            ]
            mean = sum(w * token for w, token in zip(weights, tokens[image, 1:], strict=True)) / sum(weights)
            assert_close(predictions[image, order], decoder.pred(mean), rtol=1e-5, atol=1e-5)


def test_given_the_mask_predictions_are_affine_in_the_tokens() -> None:
    decoder, mask = make()
    first, second = torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    mixed = decode(decoder, mask, 0.3 * first + 0.7 * second)
    expected = 0.3 * decode(decoder, mask, first) + 0.7 * decode(decoder, mask, second)
    assert_close(mixed, expected, rtol=1e-5, atol=1e-5)


def test_near_patches_weigh_more_at_the_start() -> None:
    decoder, _ = make()
    row = decoder.affinity[0].view(GRID)
    assert row[0, 0] > row[0, 1] > row[1, 1] > row[0, 2] > row[2, 3]
    assert_close(row[0, 1] - row[0, 2], torch.tensor(1.0))


def test_a_longer_reach_evens_out_the_weights() -> None:
    near, far = LinearDecoder(16, GRID, 10, reach=1.0), LinearDecoder(16, GRID, 10, reach=100.0)
    assert far.affinity.std() < near.affinity.std() / 50


def test_the_class_token_is_not_read() -> None:
    decoder, mask = make()
    tokens = torch.randn(2, 5, 16)
    other = tokens.clone()
    other[:, 0] = 9.0
    assert torch.equal(decode(decoder, mask, tokens), decode(decoder, mask, other))
