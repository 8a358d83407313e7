"""An encoder before any training: the one that its training begins with, never one trained before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cmae_ablate.components.backbones.timm_vit import timm_vit
from cmae_ablate.components.backbones.vit import vit
from cmae_ablate.components.fresh_encoder import freshly_initialised
from cmae_ablate.components.networks import Encoder
from cmae_ablate.components.protocols import BACKBONES
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.errors import UserError
from cmae_ablate.runtime import seeded
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.model import assemble
from cmae_ablate.training.untrained import untrained_encoder
from tests.components.evaluations.patterns import small_encoder

SIZE = 32


def weights(encoder: Encoder) -> dict[str, torch.Tensor]:
    return cast("nn.Module", encoder).state_dict()


def matrices(encoder: Encoder) -> list[torch.Tensor]:
    return [value for name, value in weights(encoder).items() if value.ndim > 1 and name != "pos_embed"]


def with_backbone(spec: TrialSpec, **backbone: object) -> TrialSpec:
    return resolve(apply(spec.to_tree(), ("backbone",), backbone), spec.seed)


def hub_model(image_size: int, *, pretrained: bool = True) -> VitEncoder:
    """A backbone as a plug-in may have it: its weights come from elsewhere, whatever the seed."""
    with seeded(12345, "somebody else's training"):
        return vit(image_size, dim=32, depth=1, heads=2, patch=8)


class Unknowing(VitEncoder):
    """A plug-in's encoder without the method `fresh`."""

    fresh = None  # type: ignore[assignment]


def unknowing_hub_model(image_size: int, *, pretrained: bool = True) -> VitEncoder:
    """The same without a way to begin anew."""
    known = hub_model(image_size)
    return Unknowing(known.image_size, known.patch_size, known.embed_dim, known.blocks, known.norm)


@pytest.fixture
def plug_ins() -> Iterator[None]:
    factories = {"hub_model": hub_model, "unknowing_hub_model": unknowing_hub_model}
    for name, factory in factories.items():
        BACKBONES.register(name, version=1)(factory)
    yield
    for name in factories:
        del BACKBONES._components[name]


def test_a_control_has_the_very_weights_that_the_training_of_its_seed_begins_with(
    tiny_spec: TrialSpec,
) -> None:
    for seed in (0, 3):
        spec = tiny_spec.with_seed(seed)
        begun = weights(assemble(spec, SIZE).encoder)
        found = weights(untrained_encoder(spec, SIZE))
        assert begun.keys() == found.keys()
        assert all(torch.equal(found[name], value) for name, value in begun.items())


def test_the_control_of_weights_from_a_file_is_its_architecture_and_not_the_file(
    tiny_spec: TrialSpec, tmp_path: Path
) -> None:
    loaded = weights(assemble(tiny_spec.with_seed(7), SIZE).encoder)
    save_file(loaded, tmp_path / "weights.safetensors")
    spec = with_backbone(tiny_spec, name="checkpoint", path=str(tmp_path / "weights.safetensors"), heads=2)
    first, again, other = (untrained_encoder(spec.with_seed(seed), SIZE) for seed in (0, 0, 1))
    assert {name: value.shape for name, value in weights(first).items()} == {
        name: value.shape for name, value in loaded.items()
    }
    of_file = [value for name, value in loaded.items() if value.ndim > 1 and name != "pos_embed"]
    assert len(of_file) > 4
    for here, there in ((first, of_file), (first, matrices(other))):
        assert not any(torch.equal(a, b) for a, b in zip(matrices(here), there, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(matrices(first), matrices(again), strict=True))


@pytest.mark.usefixtures("plug_ins")
def test_a_backbone_whose_weights_no_seed_decides_is_initialised_anew_too(tiny_spec: TrialSpec) -> None:
    spec = with_backbone(tiny_spec, name="hub_model")
    controls = [matrices(untrained_encoder(spec.with_seed(seed), SIZE)) for seed in (0, 1)]
    theirs = matrices(hub_model(SIZE))
    for here, there in ((controls[0], theirs), (controls[1], theirs), controls):
        assert not any(torch.equal(a, b) for a, b in zip(here, there, strict=True))


@pytest.mark.usefixtures("plug_ins")
def test_weights_that_cannot_be_drawn_anew_are_never_taken_for_untrained_ones(tiny_spec: TrialSpec) -> None:
    spec = with_backbone(tiny_spec, name="unknowing_hub_model")
    with pytest.raises(UserError, match=r"Unknowing cannot be initialised anew.*fresh\(\)"):
        untrained_encoder(spec, SIZE)


def test_a_fresh_encoder_is_distributed_as_the_backbone_initialises_it() -> None:
    trained = small_encoder()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(7.0).add_(3.0)
    fresh, reference = weights(freshly_initialised(trained)), small_encoder().state_dict()
    assert fresh.keys() == reference.keys()
    for name, values in fresh.items():
        if values.numel() >= 256:
            assert values.std().item() == pytest.approx(reference[name].std().item(), rel=0.2), name
        elif "patch_embed" not in name and "cls_token" not in name:
            assert torch.equal(values, reference[name]), name


def test_what_is_no_linear_layer_and_no_norm_begins_anew_too() -> None:
    # A DeiT III has LayerScale, which begins at a small constant.
    trained = timm_vit(32, model="deit3_small_patch16_224")
    begun = {name: value.clone() for name, value in trained.named_parameters() if name.endswith("gamma")}
    assert begun
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1.0)
    found = weights(freshly_initialised(trained))
    assert all(torch.equal(found[name], value) for name, value in begun.items())


def test_an_encoder_of_unknown_making_is_refused_by_name() -> None:
    class Foreign(torch.nn.Module):
        """Not an encoder that knows how it begins."""

    with pytest.raises(UserError, match=r"Foreign cannot be initialised anew.*from scratch"):
        freshly_initialised(Foreign())  # type: ignore[arg-type]  # the mistake under test
