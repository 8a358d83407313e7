"""The first author's later settings, written plainly after what their published files do, against ours.

`later_loss` is that plain writing: image by image, nothing but tensors by name. Where it sums over two views
we take means, so that its loss and its gradients are twice ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cmae_ablate.components.objectives.moco_v3 import MocoV3
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import UserError
from cmae_ablate.runtime import Runtime
from cmae_ablate.study import design, loading
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import training_views
from cmae_ablate.training.model import MaskedImageModel, assemble
from tests import plain_mae
from tests.plain_mae import State, plain_block, plain_layer, plain_norm

STUDIES = Path(__file__).parents[1] / "studies"
LATER = "CMAE, later settings"
SMALL = [f"backbone.{name}={value}" for name, value in (("dim", 32), ("depth", 3), ("heads", 4))]
"""The sizes of `plain_mae`."""
BRANCH_BLOCKS, BRANCH_HEADS, DECODER_HEADS, TEMPERATURE, MOMENTUM = 2, 12, 16, 1.0, 0.999
BATCH = 3


def later(scale: str | None = None, settings: Sequence[str] = ()) -> TrialSpec:
    study = loading.load(STUDIES / "cmae_presets.yaml", scale=scale, settings=settings)
    (found,) = [variant.spec for variant in design.variants(study) if variant.label == LATER]
    return found


def small_model() -> MaskedImageModel:
    """In double precision, with online and momentum branch apart, as after some steps."""
    model = assemble(later(settings=SMALL), plain_mae.IMAGE).double().train()
    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "key_projector" in name or "projector.1.1" in name:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng, dtype=torch.float64))
    return model


def draw(model: MaskedImageModel) -> tuple[list[Tensor], Tensor]:
    rng = torch.Generator().manual_seed(3)
    size = (BATCH, 3, plain_mae.IMAGE, plain_mae.IMAGE)
    images = [torch.randn(size, generator=rng, dtype=torch.float64) for _ in range(2)]
    return images, model.sample_masks(BATCH, 0, 0, 0)[0].ids_keep


def below(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def decode(state: State, encoded: Tensor, kept: list[int]) -> Tensor:
    """Predicted pixels of the class token and of every patch in its place, (1 + N, Q)."""
    embedded = plain_layer(state, "embed", encoded)
    tokens = [state["mask_token"][0, 0]] * plain_mae.N
    for order, place in enumerate(kept):
        tokens[place] = embedded[1 + order]
    sequence = torch.stack([embedded[0], *tokens]) + state["pos_embed"][0]
    sequence = plain_block(state, "blocks.0", sequence, DECODER_HEADS)
    return plain_layer(state, "pred", plain_norm(state, "norm", sequence))


def batch_norm(rows: Tensor) -> Tensor:
    centred = rows - rows.sum(0) / len(rows)
    return centred / ((centred**2).sum(0) / len(rows) + 1e-5).sqrt()


def mlp(state: State, rows: Tensor, layers: int) -> Tensor:
    """Linear layers without bias; batch norm after each, affine and with ReLU but for the last."""
    for layer in range(layers):
        rows = batch_norm(rows @ state[f"{3 * layer}.weight"].T)
        if layer < layers - 1:
            affine = rows * state[f"{3 * layer + 1}.weight"] + state[f"{3 * layer + 1}.bias"]
            rows = affine.clamp(min=0)
    return rows


def branch(state: State, predictions: list[Tensor]) -> Tensor:
    classes = []
    for of_image in predictions:
        sequence = of_image
        for block in range(BRANCH_BLOCKS):
            sequence = plain_block(state, f"0.blocks.{block}", sequence, BRANCH_HEADS)
        classes.append(sequence[0])
    return mlp(below(state, "1."), torch.stack(classes), 3)


def info_nce(queries: Tensor, keys: Tensor) -> Tensor:
    losses = []
    for i, query in enumerate(queries):
        cosines = torch.stack([query @ key / (query.norm() * key.norm()) for key in keys]) / TEMPERATURE
        losses.append(cosines.exp().sum().log() - cosines[i])
    return 2 * TEMPERATURE * torch.stack(losses).mean()


def later_loss(state: State, images: list[Tensor], ids_keep: Tensor) -> Tensor:
    encoder, decoder = below(state, "encoder."), below(state, "decoder.")
    position, contrastive = below(state, "objectives.position.head."), below(state, "objectives.contrastive.")
    reconstruction, location = torch.zeros(()).double(), torch.zeros(()).double()
    predictions: list[list[Tensor]] = []
    for view in images:
        of_view, errors = [], []
        for image, own in zip(view, ids_keep, strict=True):
            kept = own.tolist()
            hidden = [place for place in range(plain_mae.N) if place not in kept]
            encoded = plain_mae.plain_encode(encoder, image, kept)
            of_view.append(decode(decoder, encoded, kept))
            reconstruction += plain_mae.plain_loss(image, of_view[-1][1:], hidden, norm_pix=False) / BATCH
            scores = plain_layer(position, "1", plain_layer(position, "0", encoded[1:]))
            for token, place in enumerate(kept):
                errors += [(score - float(n == place)) ** 2 for n, score in enumerate(scores[token])]
        location = location + torch.stack(errors).mean()
        predictions.append(of_view)
    online, predictor = below(contrastive, "projector."), below(contrastive, "predictor.")
    queries = [mlp(predictor, branch(online, of_view), 2) for of_view in predictions]
    with torch.no_grad():
        keys = [branch(below(contrastive, "key_projector."), of_view) for of_view in predictions]
    both = info_nce(queries[0], keys[1]) + info_nce(queries[1], keys[0])
    return reconstruction + location + 0.1 * both


def ours(model: MaskedImageModel, images: list[Tensor]) -> Tensor:
    masks = model.sample_masks(BATCH, 0, 0, 0)
    rngs = {name: torch.Generator() for name in ("contrastive", "position")}
    return model.total(model(images, masks, rngs))


def test_loss_and_gradients_are_those_of_the_later_code_but_for_the_factor_of_its_sums() -> None:
    model = small_model()
    images, ids_keep = draw(model)
    state: State = {name: value.detach().clone() for name, value in model.state_dict().items()}
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    for name in trained:
        state[name].requires_grad_()
    theirs, loss = later_loss(state, images, ids_keep), ours(model, images)
    assert 2 * loss.item() == pytest.approx(theirs.item(), rel=1e-6)
    wanted = torch.autograd.grad(theirs, [state[name] for name in trained])
    found = torch.autograd.grad(loss, list(trained.values()))
    for name, ours_of, theirs_of in zip(trained, found, wanted, strict=True):
        scale = max(float(theirs_of.norm()), 1e-6)
        assert float((2 * ours_of - theirs_of).norm()) < 1e-4 * scale + 1e-7, name


def test_the_patch_embedding_alone_is_frozen_beside_the_momentum_branch() -> None:
    held = {name for name, value in small_model().named_parameters() if not value.requires_grad}
    keys = {name for name in held if name.startswith("objectives.contrastive.key_projector.")}
    assert held - keys == {"encoder.patch_embed.proj.weight", "encoder.patch_embed.proj.bias"}
    assert keys


def test_the_momentum_branch_is_updated_with_the_weights_of_the_step_before_its_keys_are_computed() -> None:
    model = assemble(later(settings=SMALL), plain_mae.IMAGE)
    contrastive = cast(MocoV3, model.objectives["contrastive"])
    online = dict(contrastive.projector.named_parameters())
    key = {name: value.detach().clone() for name, value in online.items()}
    rng = torch.Generator().manual_seed(0)
    for step in range(4):
        # As the later code has it: within the step, after the queries, before the keys.
        key = {name: MOMENTUM * key[name] + (1 - MOMENTUM) * online[name].detach() for name in key}
        torch.testing.assert_close(dict(contrastive.key_projector.named_parameters()), key)
        with torch.no_grad():
            for value in online.values():
                value.add_(torch.randn(value.shape, generator=rng))
        model.after_step((step + 1) / 4)


def test_the_heads_are_initialised_as_every_other_linear_layer() -> None:
    contrastive = cast(MocoV3, assemble(later(settings=SMALL), plain_mae.IMAGE).objectives["contrastive"])
    for network in (contrastive.projector, contrastive.predictor):
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                bound = math.sqrt(6 / (layer.in_features + layer.out_features))
                assert 0.99 * bound < layer.weight.abs().max() <= bound
                assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_at_the_papers_scale_every_size_and_setting_is_that_of_the_later_code() -> None:
    spec = later("paper")
    training, decoder = spec.training, spec["decoder"]
    assert (training.epochs, training.batch_size, training.warmup_epochs) == (300, 64, 40)
    assert (training.base_lr, training.weight_decay, training.image_size) == (1e-3, 0.05, 224)
    assert (training.num_views, training.reconstruct, training.shared_mask) == (2, "all", True)
    sizes = [spec["backbone"].options[name] for name in ("dim", "depth", "heads", "patch")]
    assert sizes == [768, 12, 12, 16]
    assert decoder.name == "transformer"
    assert [decoder.options[name] for name in ("depth", "dim", "heads")] == [1, 128, 16]
    assert dict(spec["target"].options) == {"normalize": False}
    assert spec["masking"].options == {"ratio": 0.75}
    with torch.device("meta"):
        contrastive = cast(MocoV3, assemble(spec, 224).objectives["contrastive"])
    blocks, head = contrastive.projector
    assert [block.attn.num_heads for block in blocks.blocks] == [BRANCH_HEADS] * BRANCH_BLOCKS
    for network, widths in (
        (head, [(4096, 768), (4096, 4096), (768, 4096)]),
        (contrastive.predictor, [(4096, 768), (768, 4096)]),
    ):
        linear = [layer for layer in network if isinstance(layer, nn.Linear)]
        assert [tuple(layer.weight.shape) for layer in linear] == widths
        assert network[-1].weight is None


def test_one_view_is_the_top_left_part_and_nothing_else_the_other_is_cut_anywhere_and_changed(
    tiny_data: DataArrays,
) -> None:
    spec = later(settings=["training.batch_size=16", "training.epochs=1"])
    views = training_views(spec, tiny_data, Runtime())
    steps = list(views.epoch(0, 0, 2))
    order = views.order(0)
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (tiny_data.mean, tiny_data.std))
    side = tiny_data.image_size
    part = side * 7 // 8
    changed = 0
    for step, (corner, other) in enumerate(steps):
        for place in range(len(corner)):
            image = torch.from_numpy(tiny_data.train.images[order[step * 16 + place]]).float() / 255
            cut = image[None, :, :part, :part]
            whole = functional.interpolate(cut, (side, side), mode="bicubic", antialias=True)[0].clamp(0, 1)
            torch.testing.assert_close(corner[place] * std + mean, whole, rtol=0, atol=2e-2)
            changed += not torch.allclose(other[place], corner[place], atol=0.05)
    # Left alone only at the corner's own place, not flipped, jittered or grey.
    assert changed > 0.9 * 16 * len(steps)
    options = spec["augmentation"].options
    jitter = [options[name] for name in ("jitter", "brightness", "contrast", "saturation", "hue", "grey")]
    assert jitter == [0.8, 0.4, 0.4, 0.2, 0.1, 0.2]
    assert [options[name] for name in ("strong_views", "flip", "blur", "solarize")] == [[1], 0.5, 0, 0]


@pytest.mark.parametrize(
    ("slot", "name", "message"),
    [
        ("decoder", "linear", "decoder 'linear' makes them for hidden patches alone"),
        ("target", "hog", "reads predicted pixels, 192 a patch, and target 'hog'"),
    ],
)
def test_what_has_no_predicted_pixels_for_every_token_is_refused(slot: str, name: str, message: str) -> None:
    changed = resolve({**later(settings=SMALL).to_tree(), slot: {"name": name}})
    with pytest.raises(UserError, match=message):
        assemble(changed, plain_mae.IMAGE)
