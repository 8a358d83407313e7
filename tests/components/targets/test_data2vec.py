"""data2vec's target, loss and momentum copy against the paper's equations, token by token."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.networks import Encoder
from cmae_ablate.components.protocols import BACKBONES
from cmae_ablate.components.targets.data2vec import Data2vecTarget
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.errors import UserError
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.tokens import PatchMask
from cmae_ablate.training import cost
from cmae_ablate.training.model import assemble
from tests.plain_mae import DEPTH, DIM, HEADS, IMAGE, PATCH, N, Q, plain_block

BACKBONE = {"dim": DIM, "depth": DEPTH, "heads": HEADS, "patch": PATCH}


@pytest.fixture
def encoder() -> VitEncoder:
    load_components()
    torch.manual_seed(0)
    encoder = BACKBONES["vit"].build(BACKBONE, IMAGE)
    assert isinstance(encoder, VitEncoder)
    return encoder


def attached(encoder: VitEncoder, **options: object) -> Data2vecTarget:
    target = Data2vecTarget(PATCH, **options)  # type: ignore[arg-type]
    target.attach(encoder)
    return target


def draw(size: int = 2) -> tuple[Tensor, PatchMask]:
    rng = torch.Generator().manual_seed(3)
    images = torch.randn(size, 3, IMAGE, IMAGE, generator=rng)
    return images, PatchMask.from_scores(torch.rand(size, N, generator=rng), 6)


def plain_outputs(state: dict[str, Tensor], image: Tensor) -> list[Tensor]:
    """Each block's output for a whole image, class token first."""
    columns = IMAGE // PATCH
    tokens = [state["cls_token"][0, 0] + state["pos_embed"][0, 0]]
    for place in range(N):
        top, left = place // columns * PATCH, place % columns * PATCH
        pixels = image[:, top : top + PATCH, left : left + PATCH]
        embedded = (state["patch_embed.proj.weight"] * pixels).sum((1, 2, 3)) + state["patch_embed.proj.bias"]
        tokens.append(embedded + state["pos_embed"][0, 1 + place])
    encoded, found = torch.stack(tokens), []
    for block in range(DEPTH):
        encoded = plain_block(state, f"blocks.{block}", encoded, HEADS)
        found.append(encoded)
    return found


def normalised(values: list[float]) -> list[float]:
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    return [(value - mean) / math.sqrt(variance + 1e-5) for value in values]


@pytest.mark.parametrize(("layers", "count"), [(2, 2), (3, 3), (None, 1)])
@pytest.mark.parametrize("final_norm", [False, True])
def test_the_target_is_the_mean_of_the_last_blocks_normalised_outputs(
    encoder: VitEncoder, layers: int | None, count: int, final_norm: bool
) -> None:
    target = attached(encoder, layers=layers, final_norm=final_norm)
    images, mask = draw()
    found = target(images, mask)
    for image in range(2):
        with torch.no_grad():
            outputs = plain_outputs(encoder.state_dict(), images[image])[-count:]
        for order, place in enumerate(mask.ids_hidden[image].tolist()):
            each = [normalised(output[1 + place].tolist()) for output in outputs]
            mean = [sum(values) / count for values in zip(*each, strict=True)]
            wanted = normalised(mean) if final_norm else mean
            assert_close(found[image, order], torch.tensor(wanted), rtol=1e-4, atol=1e-4)


def test_the_loss_is_squared_up_to_beta_and_absolute_beyond(encoder: VitEncoder) -> None:
    target = attached(encoder, beta=2.0)
    errors = [0.0, 0.5, -1.0, 2.0, -3.0, 10.0]
    plain = [error**2 / (2 * 2.0) if abs(error) <= 2 else abs(error) - 2.0 / 2 for error in errors]
    found = target.loss(torch.tensor(errors) + 1.0, torch.ones(6))
    assert found.item() == pytest.approx(sum(plain) / 6)


def test_the_copy_is_the_moving_average_of_the_encoder(encoder: VitEncoder) -> None:
    target = attached(encoder, momentum=0.9)
    average = {name: value.clone().double() for name, value in encoder.named_parameters()}
    for step in range(3):
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.add_(0.1 * (step + 1))
        target.after_step(encoder, step / 3)
        average = {n: 0.9 * average[n] + 0.1 * value.double() for n, value in encoder.named_parameters()}
    for name, value in target.teacher.named_parameters():
        assert_close(value.double(), average[name].detach(), rtol=1e-6, atol=1e-6)


def test_the_teacher_sees_what_is_hidden(encoder: VitEncoder) -> None:
    target = attached(encoder)
    images, mask = draw()
    covered = mask.hidden.view(2, 1, 4, 4).repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)
    assert not torch.allclose(target(images, mask), target(images.masked_fill(covered, 0.0), mask), atol=1e-2)


def test_more_layers_than_there_are_and_an_encoder_without_outputs_are_refused(
    encoder: VitEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"target.layers: 4 blocks .* the encoder has 3"):
        attached(encoder, layers=4)
    monkeypatch.setattr(VitEncoder, "block_outputs", Encoder.block_outputs)
    with pytest.raises(UserError, match=r"give it the method block_outputs\(\)"):
        attached(encoder)


def data2vec(spec: TrialSpec, **more: object) -> TrialSpec:
    change = {
        "backbone": {"name": "vit", **BACKBONE},
        "decoder": {"name": "simmim"},
        "target": {"name": "data2vec"},
        "masking": {"name": "random", "ratio": 0.6},
        **more,
    }
    return resolve(apply(spec.to_tree(), (), change), 0)


def test_a_step_costs_the_students_and_a_whole_forward_pass_of_the_copy(tiny_spec: TrialSpec) -> None:
    found = cost.measure(data2vec(tiny_spec, training={"batch_size": 4}), IMAGE)
    visible, hidden = 6, 10
    blocks = DEPTH * (2 * (1 + N) * DIM * DIM * (3 + 1 + 4 + 4) + 2 * 2 * (1 + N) ** 2 * DIM)
    embedding = 2 * Q * DIM  # of a patch
    head = 2 * hidden * DIM * DIM
    student = 3 * (visible * embedding + blocks + head) - visible * embedding
    assert found.flops_image == student + N * embedding + blocks
    # The mask token and the head: the copy is not trained.
    assert found.params_decoder == DIM + DIM * DIM + DIM


def test_the_copy_is_part_of_the_models_state_and_of_no_optimiser(tiny_spec: TrialSpec) -> None:
    model = assemble(data2vec(tiny_spec), IMAGE)
    copied = {name for name in model.state_dict() if name.startswith("target.teacher.")}
    assert {name.removeprefix("target.teacher.") for name in copied} == set(model.encoder.state_dict())
    assert not any(value.requires_grad for name, value in model.named_parameters() if name in copied)
