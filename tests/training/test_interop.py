"""MAE checkpoints in use, against the paper's arithmetic, Hugging Face's ViTMAE and timm."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from cmae_ablate.components.backbones.mae_encoder import decoder_name
from cmae_ablate.components.backbones.mae_layout import read_mae_state
from cmae_ablate.components.backbones.timm_vit import timm_vit
from cmae_ablate.training.interop import to_timm
from tests.plain_mae import (
    DECODER_DEPTH,
    DECODER_DIM,
    DECODER_HEADS,
    DEPTH,
    DIM,
    HEADS,
    IMAGE,
    PATCH,
    N,
    Q,
    State,
    load,
    make_batch,
    make_state,
    plain_encode,
    plain_loss,
    plain_mae,
)


@pytest.mark.parametrize("ratio", [0.75, 0.5])
@pytest.mark.parametrize("norm_pix", [True, False])
def test_reconstruction_is_what_the_paper_describes(norm_pix: bool, ratio: float) -> None:
    state, (images, noise) = make_state(), make_batch()
    out = load(state, norm_pix=norm_pix).reconstruct(images, noise=noise, mask_ratio=ratio)
    losses = []
    for image in range(2):
        predictions, hidden = plain_mae(state, images[image], noise[image], ratio)
        assert out.mask[image].nonzero().flatten().tolist() == hidden
        assert_close(out.pred[image, hidden], predictions[hidden], rtol=1e-5, atol=1e-5)
        losses.append(plain_loss(images[image], predictions, hidden, norm_pix))
    assert_close(out.loss, torch.stack(losses).mean(), rtol=1e-5, atol=1e-5)


def test_predictions_of_visible_patches_are_zero() -> None:
    images, noise = make_batch()
    out = load(make_state()).reconstruct(images, noise=noise)
    assert out.pred.shape == (2, N, Q)
    assert not out.pred[~out.mask].any()


def test_whole_images_are_encoded_as_the_paper_describes() -> None:
    state, (images, _) = make_state(), make_batch()
    tokens = load(state).encoder.encode(images, None)
    for image in range(2):
        assert_close(tokens[image], plain_encode(state, images[image], list(range(N))), rtol=1e-5, atol=1e-5)


def test_loading_draws_no_random_numbers() -> None:
    before = torch.random.get_rng_state()
    to_timm(load(make_state()))
    assert torch.equal(before, torch.random.get_rng_state())


def hugging_face_model(norm_pix: bool = True) -> Any:
    transformers = pytest.importorskip(
        "transformers", reason="transformers, the independent oracle, is absent"
    )
    config = transformers.ViTMAEConfig(
        hidden_size=DIM,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        intermediate_size=4 * DIM,
        image_size=IMAGE,
        patch_size=PATCH,
        decoder_hidden_size=DECODER_DIM,
        decoder_num_hidden_layers=DECODER_DEPTH,
        decoder_num_attention_heads=DECODER_HEADS,
        decoder_intermediate_size=4 * DECODER_DIM,
        mask_ratio=0.75,
        norm_pix_loss=norm_pix,
        layer_norm_eps=1e-6,
    )
    model = transformers.ViTMAEForPreTraining(config).eval()
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(0.2 * torch.randn(value.shape, generator=rng))
    return model


OLD_NAMES = [
    (r"^vit\.layers\.", "vit.encoder.layer."),
    (r"attention\.q_proj", "attention.attention.query"),
    (r"attention\.k_proj", "attention.attention.key"),
    (r"attention\.v_proj", "attention.attention.value"),
    (r"attention\.o_proj", "attention.output.dense"),
    (r"mlp\.fc1", "intermediate.dense"),
    (r"mlp\.fc2", "output.dense"),
]


def with_old_names(state: State) -> State:
    """As transformers named them up to version 4, and as the published files have them."""
    renamed = {}
    for name, value in state.items():
        for pattern, old in OLD_NAMES:
            name = re.sub(pattern, old, name)  # noqa: PLW2901
        renamed[name] = value
    return renamed


@pytest.mark.parametrize("old_names", [False, True], ids=["names of 5", "names of 4"])
@pytest.mark.parametrize("norm_pix", [True, False])
def test_reconstruction_is_that_of_hugging_face(norm_pix: bool, old_names: bool) -> None:
    reference, (images, noise) = hugging_face_model(norm_pix), make_batch()
    state = reference.state_dict()
    out = load(with_old_names(state) if old_names else state, norm_pix=norm_pix).reconstruct(
        images, noise=noise
    )
    expected = reference(images, noise=noise)
    assert torch.equal(out.mask, expected.mask.bool())
    assert_close(out.pred[out.mask], expected.logits[out.mask], rtol=1e-5, atol=1e-5)
    assert_close(out.loss, expected.loss, rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_hugging_face() -> None:
    # Ours leaves out what no loss sees, in the decoder's last block and head: nothing may be lost by it.
    reference, (images, noise) = hugging_face_model(), make_batch()
    model = load(reference.state_dict())
    reference(images, noise=noise).loss.backward()
    model.reconstruct(images, noise=noise).loss.backward()  # type: ignore[no-untyped-call]
    theirs = {name: value.grad for name, value in reference.named_parameters() if value.grad is not None}
    expected = read_mae_state(theirs)
    assert model.decoder is not None
    ours = {name: value.grad for name, value in model.encoder.named_parameters()}
    ours |= {decoder_name(name): value.grad for name, value in model.decoder.named_parameters()}
    assert ours.keys() == expected.keys() - {"pos_embed", "decoder_pos_embed"}
    for name, gradient in ours.items():
        assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5)


def test_the_encoder_alone_of_hugging_face_gives_its_tokens() -> None:
    reference, (images, _) = hugging_face_model().vit, make_batch()
    reference.config.mask_ratio = 0.0
    ordered = torch.arange(N).float().expand(2, -1)
    expected = reference(images, noise=ordered).last_hidden_state
    assert_close(load(reference.state_dict()).encoder.encode(images, None), expected, rtol=1e-5, atol=1e-5)


def test_timm_gives_the_same_tokens() -> None:
    model, (images, _) = load(make_state()), make_batch()
    converted = to_timm(model)
    assert converted.num_classes == 0
    assert_close(converted.forward_features(images), model.encoder.encode(images, None), rtol=1e-5, atol=1e-5)


def test_the_timm_model_is_a_copy() -> None:
    model, (images, _) = load(make_state()), make_batch()
    before = model.encoder.encode(images, None)
    with torch.no_grad():
        for value in to_timm(model).parameters():
            value.zero_()
    assert torch.equal(model.encoder.encode(images, None), before)


def test_an_encoder_with_layer_scale_goes_over_to_timm_whole() -> None:
    encoder, (images, _) = timm_vit(IMAGE, model="deit3_small_patch16_224").eval(), make_batch()
    assert_close(
        to_timm(encoder).forward_features(images), encoder.encode(images, None), rtol=1e-5, atol=1e-5
    )


def test_without_noise_patches_are_hidden_at_random_by_the_generator_or_the_global_seed() -> None:
    model, (images, _) = load(make_state()), make_batch()
    drawn = torch.rand(len(images), model.encoder.num_patches, generator=torch.Generator().manual_seed(5))
    expected = model.reconstruct(images, noise=drawn, mask_ratio=0.5)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    by_generator = model.reconstruct(images, mask_ratio=0.5, generator=torch.Generator().manual_seed(5))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    by_seed = model.reconstruct(images, mask_ratio=0.5)
    for found in (by_generator, by_seed):
        assert torch.equal(found.mask, expected.mask) and torch.equal(found.pred, expected.pred)
    assert not torch.equal(model.reconstruct(images, mask_ratio=0.5).mask, by_seed.mask)
