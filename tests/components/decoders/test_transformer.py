"""MAE's transformer decoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cmae_ablate.components.decoders.transformer import TransformerDecoder
from cmae_ablate.components.networks import View
from cmae_ablate.errors import UserError
from cmae_ablate.tokens import PatchMask, sincos_positions

GRID = (4, 3)


def make(depth: int) -> tuple[TransformerDecoder, View]:
    torch.manual_seed(0)
    decoder = TransformerDecoder(24, GRID, 48, depth=depth, dim=32, heads=4)
    mask = PatchMask.from_scores(torch.rand(2, 12), 3)
    return decoder, View(torch.randn(2, 3, 16, 12), mask, torch.randn(2, 4, 24))


def plain(decoder: TransformerDecoder, view: View) -> Tensor:
    """Predictions on hidden patches."""
    everywhere = plain_everywhere(decoder, view)[:, 1:]
    return torch.stack([own[hidden] for own, hidden in zip(everywhere, view.mask.ids_hidden, strict=True)])


def plain_everywhere(decoder: TransformerDecoder, view: View) -> Tensor:
    """As the paper says: class token, then every token in its place, through every layer."""
    embedded = decoder.embed(view.tokens)
    predictions = []
    for image in range(len(embedded)):
        places = decoder.mask_token[0].repeat(12, 1)
        for order, place in enumerate(view.mask.ids_keep[image].tolist()):
            places[place] = embedded[image, 1 + order]
        tokens = torch.cat([embedded[image, :1], places + sincos_positions(32, GRID)])[None]
        for block in decoder.blocks:
            tokens = block(tokens)
        predictions.append(decoder.pred(decoder.norm(tokens))[0])
    return torch.stack(predictions)


@pytest.mark.parametrize("depth", [1, 3])
def test_predictions_are_those_of_computing_every_token(depth: int) -> None:
    decoder, view = make(depth)
    assert_close(decoder(view), plain(decoder, view), rtol=1e-5, atol=1e-5)


def test_all_predictions_are_those_of_every_token_in_the_order_of_the_mask() -> None:
    decoder, view = make(2)
    found, wanted = decoder.predict_all(view), plain_everywhere(decoder, view)
    assert_close(found[:, 0], wanted[:, 0], rtol=1e-5, atol=1e-5)
    for image in range(2):
        order = view.mask.ids_keep[image].tolist() + view.mask.ids_hidden[image].tolist()
        for place, patch in enumerate(order):
            assert_close(found[image, 1 + place], wanted[image, 1 + patch], rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_computing_every_token() -> None:
    decoder, view = make(2)
    tokens = view.tokens.requires_grad_()
    fast, slow = (
        torch.autograd.grad(output.square().mean(), [tokens, *decoder.parameters()])
        for output in (decoder(view), plain(decoder, view))
    )
    assert_close(fast, slow, rtol=1e-4, atol=1e-6)


def test_positions_are_fixed() -> None:
    decoder, _ = make(1)
    assert "pos_embed" in dict(decoder.named_buffers())
    assert not decoder.pos_embed[0, 0].any()


def test_the_mask_token_is_drawn_with_the_deviation_of_mae() -> None:
    torch.manual_seed(0)
    decoder = TransformerDecoder(24, GRID, 48, depth=1)
    # 512 values of standard deviation 0.02: outside +-15 % with a probability of 1e-6.
    assert decoder.mask_token.std().item() == pytest.approx(0.02, rel=0.15)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(UserError, match=r"decoder: dim 32 is not divisible by heads 5; set decoder\.heads"):
        TransformerDecoder(24, GRID, 48, dim=32, heads=5)


def test_narrowing_divides_the_width_and_nothing_else() -> None:
    """SDMAE's decoder out of MAE's: 512 to 128, its 16 heads kept."""
    torch.manual_seed(0)
    narrowed = TransformerDecoder(24, GRID, 48, depth=1, dim=512, heads=16, narrowing=4)
    torch.manual_seed(0)
    narrow = TransformerDecoder(24, GRID, 48, depth=1, dim=128, heads=16)
    assert_close(narrowed.state_dict(), narrow.state_dict(), rtol=0, atol=0)
    _, view = make(1)
    assert_close(narrowed(view), narrow(view), rtol=0, atol=0)


def test_a_width_that_narrowing_does_not_divide_is_refused() -> None:
    with pytest.raises(UserError, match=r"decoder.narrowing: dim 32 is not divisible by 3"):
        TransformerDecoder(24, GRID, 48, depth=1, dim=32, heads=4, narrowing=3)
