from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cmae_ablate.components.networks import View
from cmae_ablate.components.objectives.moco_v3 import MocoV3
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.errors import UserError

MakeViews = Callable[[int], list[View]]


def one_direction(queries: Tensor, keys: Tensor, temperature: float) -> float:
    """MoCo v3's `ctr_loss`, one pair at a time."""
    total = 0.0
    for i, query in enumerate(queries):
        similarities = [torch.cosine_similarity(query, key, dim=0).item() / temperature for key in keys]
        total += math.log(sum(math.exp(value) for value in similarities)) - similarities[i]
    return 2 * temperature * total / len(queries)


@pytest.mark.parametrize("feature", ["cls", "mean", "decoder"])
@pytest.mark.parametrize("key_mask", ["same", "none"])
def test_the_loss_is_symmetric_info_nce_against_momentum_keys(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator, feature: str, key_mask: str
) -> None:
    objective = MocoV3(encoder, feature=feature, key_mask=key_mask, temperature=0.3, projector_hidden=24)
    views = make_views(6)
    with torch.no_grad():
        # Keys differ from queries' networks, as after some steps.
        for parameter in objective.key_projector.parameters():
            parameter.mul_(1.3)
        masks = [view.mask if key_mask == "same" else None for view in views]
        keys = [
            objective.key_projector(objective.key_encoder.encode(view.images, mask))
            for view, mask in zip(views, masks, strict=True)
        ]
        queries = [objective.predictor(objective.projector(view.tokens)) for view in views]
    expected = one_direction(queries[0], keys[1], 0.3) + one_direction(queries[1], keys[0], 0.3)
    assert objective(views, encoder, rng).loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("feature", ["cls", "mean", "decoder"])
def test_gradients_reach_the_encoder_and_every_trained_parameter(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator, feature: str
) -> None:
    objective = MocoV3(encoder, feature=feature)
    objective(make_views(4), encoder, rng).loss.backward()
    for name, parameter in [*objective.named_parameters(), *encoder.named_parameters()]:
        if name.startswith("key_"):
            assert parameter.grad is None and not parameter.requires_grad
        else:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("feature", ["cls", "mean", "decoder"])
def test_without_a_key_encoder_keys_are_the_momentum_heads_of_the_encoders_own_tokens(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator, feature: str
) -> None:
    objective, views = MocoV3(encoder, feature=feature, key_encoder="none"), make_views(5)
    assert not any(name.startswith("key_encoder") for name in objective.state_dict())
    with torch.no_grad():
        for parameter in objective.key_projector.parameters():
            parameter.mul_(1.3)
        keys = [objective.key_projector(view.tokens) for view in views]
        queries = [objective.predictor(objective.projector(view.tokens)) for view in views]
    expected = one_direction(queries[0], keys[1], 0.2) + one_direction(queries[1], keys[0], 0.2)
    assert objective(views, encoder, rng).loss.item() == pytest.approx(expected, rel=1e-4)
    before = [parameter.clone() for parameter in objective.key_projector.parameters()]
    objective.after_step(encoder, progress=0.0)
    pairs = zip(before, objective.projector.parameters(), objective.key_projector.parameters(), strict=True)
    for old, online, new in pairs:
        torch.testing.assert_close(new, 0.99 * old + 0.01 * online)


def test_widths_left_open_follow_the_encoders_as_a_vit_b_has_them(encoder: VitEncoder) -> None:
    # 4096 and 768 at a width of 768; here the width is 16.
    objective = MocoV3(encoder, projector_hidden=None, projector_out=None)
    linear = [layer for layer in objective.predictor if isinstance(layer, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in linear] == [(85, 16), (16, 85)]


def test_predictions_have_no_momentum_encoder(encoder: VitEncoder) -> None:
    with pytest.raises(UserError, match=r"set objectives\.contrastive\.key_encoder to none"):
        MocoV3(encoder, feature="prediction")


def test_heads_that_do_not_divide_the_predictions_are_refused(encoder: VitEncoder) -> None:
    with pytest.raises(UserError, match="5 heads do not divide the predictions' width of 192"):
        MocoV3(encoder, feature="prediction", key_encoder="none", branch_heads=5)


def test_the_encoder_is_copied_and_not_kept(encoder: VitEncoder) -> None:
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    objective = MocoV3(encoder)
    ours = {parameter.data_ptr() for parameter in objective.parameters()}
    assert not ours & {parameter.data_ptr() for parameter in encoder.parameters()}
    torch.testing.assert_close(encoder.state_dict(), before, rtol=0, atol=0)
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_keys_follow_the_encoder_and_the_projector_after_each_step(encoder: VitEncoder) -> None:
    objective = MocoV3(encoder, momentum=0.75, momentum_schedule="constant")
    old_key = objective.key_encoder.state_dict()["cls_token"].clone()
    old_head = [parameter.clone() for parameter in objective.key_projector.parameters()]
    with torch.no_grad():
        encoder.cls_token.add_(1.0)
        for parameter in objective.projector.parameters():
            parameter.add_(1.0)
    objective.after_step(encoder, progress=0.5)
    torch.testing.assert_close(objective.key_encoder.state_dict()["cls_token"], old_key + 0.25)
    for before, after in zip(old_head, objective.key_projector.parameters(), strict=True):
        torch.testing.assert_close(after, before + 0.25)


def test_the_last_step_leaves_the_keys_alone_under_the_cosine_schedule(encoder: VitEncoder) -> None:
    objective = MocoV3(encoder)
    before = {name: value.clone() for name, value in objective.key_encoder.state_dict().items()}
    with torch.no_grad():
        encoder.cls_token.add_(1.0)
    objective.after_step(encoder, progress=1.0)
    torch.testing.assert_close(dict(objective.key_encoder.state_dict()), before, rtol=0, atol=0)


def test_a_batch_of_one_image_is_no_error(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator
) -> None:
    term = MocoV3(encoder)(make_views(1), encoder, rng)
    term.loss.backward()
    assert term.loss.item() == 0
    assert encoder.cls_token.grad is not None and encoder.cls_token.grad.isfinite().all()


def test_identical_embeddings_show_as_collapse(
    encoder: VitEncoder, make_views: MakeViews, rng: torch.Generator
) -> None:
    objective = MocoV3(encoder)
    view = make_views(4)[0]
    same = View(view.images, view.mask, view.tokens[:1].expand_as(view.tokens).detach())
    healthy = objective(make_views(4), encoder, rng).diagnostics["feature_std"]
    collapsed = objective([same, same], encoder, rng).diagnostics["feature_std"]
    assert healthy > 0.9 and collapsed < 1e-3
