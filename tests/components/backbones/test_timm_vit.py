"""Vision transformers by their name in timm."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.testing import assert_close

from cmae_ablate.components.backbones.timm_vit import timm_vit
from cmae_ablate.components.backbones.vit import vit
from cmae_ablate.errors import UserError


def test_a_named_model_has_the_sizes_and_parameters_that_timm_gives_it() -> None:
    encoder = timm_vit(64, model="vit_tiny_patch16_224")
    named = timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=0)
    ours = {name: value.shape for name, value in encoder.state_dict().items()}
    assert ours == {name: value.shape for name, value in named.state_dict().items()}


def test_tokens_are_those_of_the_timm_model_with_the_same_weights() -> None:
    # LayerScale and all: whatever the named model's blocks hold has to be used.
    encoder = timm_vit(32, model="deit3_small_patch16_224").eval()
    named = timm.create_model(
        "deit3_small_patch16_224", img_size=32, num_classes=0, no_embed_class=False
    ).eval()
    assert isinstance(named, VisionTransformer)
    named.load_state_dict(encoder.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert_close(encoder.encode(images, None), named.forward_features(images), rtol=1e-5, atol=1e-5)


def test_initialisation_does_not_depend_on_how_the_sizes_were_given() -> None:
    by_name, by_size = timm_vit(32, model="test_vit"), vit(32, dim=64, depth=6, heads=2, mlp_ratio=3.0)
    for name, value in by_name.named_parameters():
        other = by_size.get_parameter(name)
        assert value.shape == other.shape
        if name.endswith("weight"):
            assert value.std().item() == pytest.approx(other.std().item(), rel=0.1)


def test_no_part_drops_anything_at_random() -> None:
    encoder = timm_vit(32, model="test_vit").train()
    assert not [part for part in encoder.modules() if isinstance(part, nn.Dropout) and part.p > 0]
    images = torch.randn(2, 3, 32, 32)
    assert_close(encoder.encode(images, None), encoder.encode(images, None), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_tiny_patch16_244", r"no model called 'vit_tiny_patch16_244'; did you mean 'vit_tiny_patch16"),
        ("resnet18", r"'resnet18' is a ResNet, not a VisionTransformer"),
        ("deit_tiny_distilled_patch16_224", r"is a VisionTransformerDistilled"),
        ("vit_wee_patch16_reg1_gap_256", r"has register tokens"),
        ("vit_base_patch16_clip_224", r"has a norm before its blocks"),
        ("vit_base_patch16_rpn_224", r"has no LayerNorm"),
        ("vit_small_patch16_18x2_224", r"has blocks of another kind"),
        ("vit_small_patch14_dinov2", r"32 pixels cannot be cut into patches of 14"),
    ],
)
def test_other_models_are_refused_with_the_reason(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        timm_vit(32, model=name)
