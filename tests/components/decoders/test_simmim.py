"""SimMIM against the paper's steps, image by image and patch by patch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cmae_ablate.components.decoders.simmim import SimMimDecoder
from cmae_ablate.components.networks import Encoder
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.errors import UserError
from cmae_ablate.runtime import stream
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.tokens import PatchMask
from cmae_ablate.training import cost
from cmae_ablate.training.model import MaskedImageModel, assemble
from tests.plain_mae import DEPTH, DIM, HEADS, IMAGE, PATCH, N, Q, plain_block, plain_layer, plain_norm

SIMMIM = {
    "backbone": {"name": "vit", "dim": DIM, "depth": DEPTH, "heads": HEADS, "patch": PATCH},
    "decoder": {"name": "simmim"},
    "target": {"name": "pixels_l1"},
    "masking": {"name": "random", "ratio": 0.6},
}


def simmim(spec: TrialSpec, **more: object) -> TrialSpec:
    return resolve(apply(spec.to_tree(), (), {**SIMMIM, **more}), 0)


def batch(model: MaskedImageModel, size: int = 3) -> tuple[list[Tensor], list[PatchMask]]:
    masks = model.sample_masks(size, 0, 0, 0)
    rngs = [stream(0, "images", view) for view in range(len(masks))]
    images = [torch.randn(size, 3, IMAGE, IMAGE, generator=rng) for rng in rngs]
    return images, masks


def plain_simmim(state: dict[str, Tensor], token: Tensor, image: Tensor, hidden: set[int]) -> Tensor:
    """The encoder's output at every patch, in the order of the image."""
    columns = IMAGE // PATCH
    tokens = [state["cls_token"][0, 0] + state["pos_embed"][0, 0]]
    for place in range(N):
        top, left = place // columns * PATCH, place % columns * PATCH
        pixels = image[:, top : top + PATCH, left : left + PATCH]
        embedded = (state["patch_embed.proj.weight"] * pixels).sum((1, 2, 3)) + state["patch_embed.proj.bias"]
        tokens.append((token if place in hidden else embedded) + state["pos_embed"][0, 1 + place])
    encoded = torch.stack(tokens)
    for block in range(DEPTH):
        encoded = plain_block(state, f"blocks.{block}", encoded, HEADS)
    return plain_norm(state, "norm", encoded)[1:]


def test_the_loss_is_the_mean_absolute_error_of_raw_pixels_under_the_mask(tiny_spec: TrialSpec) -> None:
    model = assemble(simmim(tiny_spec), IMAGE)
    images, masks = batch(model)
    decoder = model.decoder
    assert isinstance(decoder, SimMimDecoder)
    head = {f"pred.{name}": value for name, value in decoder.pred.state_dict().items()}
    total, count = 0.0, 0
    for image, hidden in zip(images[0], masks[0].hidden, strict=True):
        places = {place for place in range(N) if hidden[place]}
        with torch.no_grad():
            tokens = plain_simmim(model.encoder.state_dict(), decoder.mask_token[0, 0], image, places)
        for place in places:
            predicted = plain_layer(head, "pred", tokens[place])
            top, left = place // 4 * PATCH, place % 4 * PATCH
            # MAE's order of a patch's pixels: row, column, channel.
            wanted = image[:, top : top + PATCH, left : left + PATCH].permute(1, 2, 0).flatten()
            total += (predicted - wanted).abs().sum().item()
            count += Q
    # 60 % of 16 patches are hidden: 10 of them.
    assert count == 3 * 10 * Q
    assert model(images, masks, {})["reconstruction"].loss.item() == pytest.approx(total / count, rel=1e-5)


def test_what_is_hidden_is_not_seen_and_every_part_is_trained(tiny_spec: TrialSpec) -> None:
    model = assemble(simmim(tiny_spec), IMAGE)
    images, masks = batch(model)
    (view,) = model.encode_views(images, masks)
    covered = masks[0].hidden.view(3, 1, 4, 4).repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)
    (blind,) = model.encode_views([images[0].masked_fill(covered, 9.0)], masks)
    assert view.hidden is not None and blind.hidden is not None
    assert_close(blind.hidden, view.hidden, rtol=0, atol=0)
    model.total(model(images, masks, {})).backward()  # type: ignore[no-untyped-call]
    without = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


def test_the_encoder_counts_with_all_positions_in_every_block(tiny_spec: TrialSpec) -> None:
    spec = simmim(tiny_spec, training={"batch_size": 4})
    visible, hidden = 6, 10
    embedding = 2 * visible * Q * DIM
    blocks = DEPTH * (2 * (1 + N) * DIM * DIM * (3 + 1 + 4 + 4) + 2 * 2 * (1 + N) ** 2 * DIM)
    head = 2 * hidden * DIM * Q
    # Forward and twice that backward, but for the gradient of the image.
    assert cost.measure(spec, IMAGE).flops_image == 3 * (embedding + blocks + head) - embedding
    found = cost.measure(spec, IMAGE)
    assert found.params_decoder == DIM + DIM * Q + Q  # the mask token, and the head
    assert found.params_encoder == cost.measure(tiny_spec_of(tiny_spec), IMAGE).params_encoder


def tiny_spec_of(spec: TrialSpec) -> TrialSpec:
    """MAE with the same backbone."""
    return resolve(apply(spec.to_tree(), (), {"backbone": SIMMIM["backbone"]}), 0)


@pytest.mark.parametrize("name", ["moco_v3", "simclr", "byol"])
def test_two_views_are_filled_each_under_its_own_mask(tiny_spec: TrialSpec, name: str) -> None:
    more = {"objectives.contrastive": {"name": name}, "training": {"reconstruct": "all"}}
    spec = resolve(apply(simmim(tiny_spec).to_tree(), (), more), 0)
    model = assemble(spec, IMAGE)
    images, masks = batch(model)
    views = model.encode_views(images, masks)
    alone = [model.encode_views([image], [mask])[0] for image, mask in zip(images, masks, strict=True)]
    for view, single in zip(views, alone, strict=True):
        assert view.hidden is not None and single.hidden is not None
        assert_close(view.hidden, single.hidden, rtol=1e-5, atol=1e-5)
        assert_close(view.tokens, single.tokens, rtol=1e-5, atol=1e-5)
    terms = model(images, masks, {"contrastive": stream(0, "c")})
    assert all(term.loss.isfinite() for term in terms.values())


def test_an_encoder_that_takes_no_mask_token_is_refused(
    tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VitEncoder, "encode_filled", Encoder.encode_filled)
    with pytest.raises(UserError, match=r"into the encoder, and backbone 'vit' takes none"):
        assemble(simmim(tiny_spec), IMAGE)


def test_predictions_that_an_objective_reads_are_refused(tiny_spec: TrialSpec) -> None:
    objective = {"name": "moco_v3", "feature": "prediction", "key_encoder": "none"}
    spec = resolve(apply(simmim(tiny_spec).to_tree(), (), {"objectives.contrastive": objective}), 0)
    with pytest.raises(UserError, match="decoder 'simmim' makes them for hidden patches alone"):
        assemble(spec, IMAGE)
