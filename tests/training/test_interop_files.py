"""MAE checkpoints as files: what is read, what is refused, and what is written."""

from __future__ import annotations

import argparse
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from cmae_ablate.components.backbones.vit import vit
from cmae_ablate.errors import UserError
from cmae_ablate.training.interop import export_encoder, load_mae_checkpoint, mae_state
from tests.plain_mae import (
    DECODER_DEPTH,
    DECODER_DIM,
    DEPTH,
    DIM,
    HEADS,
    IMAGE,
    PATCH,
    N,
    Q,
    load,
    make_batch,
    make_state,
    stack_shapes,
)


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_file_is_read_as_the_dictionary_in_it(tmp_path: Path, wrapped: bool) -> None:
    state, (images, noise) = make_state(), make_batch()
    torch.save({"model": state} if wrapped else state, tmp_path / "mae.pth")
    from_file = load(tmp_path / "mae.pth").reconstruct(images, noise=noise)
    assert torch.equal(from_file.pred, load(state).reconstruct(images, noise=noise).pred)


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    state, (images, _) = make_state(decoder=False), make_batch()
    save_file(state, tmp_path / "mae.safetensors")
    encoder = load(str(tmp_path / "mae.safetensors")).encoder
    assert torch.equal(encoder.encode(images, None), load(state).encoder.encode(images, None))


def test_a_training_checkpoint_with_its_command_line_is_read(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    content = {
        "model": make_state(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
        "args": argparse.Namespace(lr=1e-3, model="mae_vit", resume="", gpu=None, dist_backend="nccl"),
    }
    torch.save(content, tmp_path / "checkpoint-3.pth")
    assert_close(mae_state(load(tmp_path / "checkpoint-3.pth")), make_state(), rtol=0, atol=0)


def test_a_command_line_that_holds_more_than_plain_values_is_refused_with_a_remedy(tmp_path: Path) -> None:
    content = {"model": make_state(), "args": argparse.Namespace(output=tmp_path)}
    torch.save(content, tmp_path / "checkpoint.pth")
    with pytest.raises(UserError, match=r"checkpoint\.pth: refused.*save its state dict anew"):
        load(tmp_path / "checkpoint.pth")


class Harmful:
    """Runs a command when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    torch.save({"model": make_state(), "extra": Harmful(tmp_path / "ran")}, tmp_path / "mae.pth")
    with pytest.raises(UserError, match=r"mae\.pth: refused.*could run code"):
        load(tmp_path / "mae.pth")
    assert not (tmp_path / "ran").exists()


def test_what_is_refused_is_named_and_nobody_is_told_to_read_it_all_the_same(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(
        UserError, match=r"it holds torch\.nn\.modules\.linear\.Linear, which is no"
    ) as caught:
        load(tmp_path / "module.pth")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("name", ["mae", "mae.pth"])
def test_safetensors_are_known_whatever_their_name(tmp_path: Path, name: str) -> None:
    save_file(make_state(), tmp_path / name)
    assert load(tmp_path / name).encoder.state_dict().keys()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(
            ("a.pth", b""),
            ("b.pth", b"junk"),
            ("c.safetensors", b"junk"),
            ("d.pth", b"e"),
            ("e.pth", bytes(99)),
        ),
        *(("f.pth", b"<!DOCTYPE html>"), ("g.pth", b"PK\x03\x04cut short"), ("h.pth", pickle.dumps({1}, 4))),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        load(tmp_path / name)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pth: no such file"):
        load(tmp_path / "nowhere.pth")


def test_sizes_are_read_off_the_tensors() -> None:
    model = load(make_state(), image_size=None)
    encoder, decoder = model.encoder, model.decoder
    assert (encoder.image_size, encoder.patch_size, encoder.grid) == (IMAGE, PATCH, (4, 4))
    assert (encoder.embed_dim, len(encoder.blocks)) == (DIM, DEPTH)
    assert decoder is not None
    assert len(decoder.blocks) == DECODER_DEPTH


def test_an_mlp_of_any_width_is_read() -> None:
    state = make_state(decoder=False)
    for block in range(DEPTH):
        state[f"blocks.{block}.mlp.fc1.weight"] = torch.randn(57, DIM)
        state[f"blocks.{block}.mlp.fc1.bias"] = torch.randn(57)
        state[f"blocks.{block}.mlp.fc2.weight"] = torch.randn(DIM, 57)
    assert torch.equal(mae_state(load(state))["blocks.0.mlp.fc1.weight"], state["blocks.0.mlp.fc1.weight"])


@pytest.mark.parametrize(("dim", "heads", "patch"), [(768, 12, 16), (1024, 16, 16), (1280, 16, 14)])
def test_heads_of_the_published_sizes_need_not_be_given(dim: int, heads: int, patch: int) -> None:
    state = {
        "cls_token": torch.zeros(1, 1, dim),
        "pos_embed": torch.zeros(1, 1 + 9, dim),
        "patch_embed.proj.weight": torch.zeros(dim, 3, patch, patch),
        "patch_embed.proj.bias": torch.zeros(dim),
        **{name: torch.zeros(shape) for name, shape in stack_shapes("blocks", "norm", dim, 1).items()},
    }
    encoder = load_mae_checkpoint({"model": state}, image_size=3 * patch).encoder
    block: Any = encoder.blocks[0]
    assert block.attn.num_heads == heads
    assert encoder.encode(torch.zeros(1, 3, 3 * patch, 3 * patch), None).shape == (1, 10, dim)


def test_half_precision_tensors_are_loaded_as_single() -> None:
    state = {name: value.half() for name, value in make_state().items()}
    loaded = mae_state(load(state))
    assert {value.dtype for value in loaded.values()} == {torch.float32}
    assert_close(loaded["pos_embed"], state["pos_embed"].float(), rtol=0, atol=0)


def test_a_model_fine_tuned_on_mean_pooled_tokens_is_refused_with_the_reason() -> None:
    state = make_state(decoder=False)
    state |= {f"fc_norm.{leaf}": state.pop(f"norm.{leaf}") for leaf in ("weight", "bias")}
    state |= {"head.weight": torch.zeros(10, DIM), "head.bias": torch.zeros(10)}
    with pytest.raises(UserError, match=r"'fc_norm.weight'.*fine-tuned.*give the pretrained checkpoint"):
        load({"model": state})


def test_a_linear_probes_head_with_its_batch_norm_is_left_out() -> None:
    head = {"head.0.running_mean": torch.zeros(DIM), "head.0.num_batches_tracked": torch.tensor(3)}
    state = make_state(decoder=False)
    assert mae_state(load(state | head | {"head.1.weight": torch.zeros(10, DIM)})).keys() == state.keys()


PREFIXES = ("module.", "_orig_mod.", "module._orig_mod.", "model.", "backbone.", "net.0.")
NESTS = (("state_dict",), ("model_state_dict",), ("model",), ("model", "state_dict"), ())


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("nest", NESTS)
def test_weights_are_found_below_prefixes_and_in_nests(prefix: str, nest: tuple[str, ...]) -> None:
    state = make_state()
    content: dict[str, Any] = {f"{prefix}{name}": value for name, value in state.items()}
    for key in reversed(nest):
        content = {"epoch": 3, "step": torch.tensor(7), key: content, "optimizer": {"state": {}}}
    loaded = mae_state(load(content))
    assert loaded.keys() == state.keys()
    assert_close(loaded["cls_token"], state["cls_token"], rtol=0, atol=0)


def test_an_encoder_of_a_larger_model_is_read_without_the_rest() -> None:
    state = make_state(decoder=False)
    content = {f"backbone.{name}": value for name, value in state.items()} | {
        "neck.weight": torch.zeros(2, 2)
    }
    assert mae_state(load(content)).keys() == state.keys()


def test_several_encoders_in_one_file_are_refused_by_their_prefixes() -> None:
    state, names = make_state(decoder=False), ("base_encoder", "momentum_encoder")
    content = {f"{who}.{name}": value for who in names for name, value in state.items()}
    told = r"several encoders, below 'base_encoder\.', 'momentum_encoder\.'; save one"
    with pytest.raises(UserError, match=told):
        load(content)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_tensor_that_is_not_finite_is_named_with_its_file(value: float, tmp_path: Path) -> None:
    state = make_state()
    state["blocks.1.mlp.fc2.bias"][3] = value
    torch.save({"model": state}, tmp_path / "mae.pth")
    told = r"mae\.pth: 'blocks\.1\.mlp\.fc2\.bias' holds NaN or infinity.*give an earlier"
    with pytest.raises(UserError, match=told):
        load(tmp_path / "mae.pth")


def test_weights_of_another_network_are_refused_by_their_names() -> None:
    with pytest.raises(
        UserError, match=r"no tensor is called as a vision transformer's are \('conv1\.weight'"
    ):
        load({"conv1.weight": torch.zeros(4, 3, 7, 7), "layer1.0.bn1.bias": torch.zeros(4)})


def test_a_model_without_a_class_token_is_refused_with_the_reason() -> None:
    state = make_state(decoder=False)
    del state["cls_token"]
    state["pos_embed"] = state["pos_embed"][:, 1:]
    with pytest.raises(UserError, match="this model has no class token"):
        load(state)


def test_a_classification_head_is_left_out() -> None:
    state = make_state(decoder=False) | {"head.weight": torch.zeros(10, DIM), "head.bias": torch.zeros(10)}
    assert "head.weight" not in mae_state(load(state))


@pytest.mark.parametrize(
    "name",
    [
        "pos_embed",
        "cls_token",
        "norm.weight",
        "patch_embed.proj.weight",
        "blocks.1.attn.qkv.bias",
        "blocks.0.mlp.fc1.weight",
        "mask_token",
        "decoder_embed.weight",
        "decoder_blocks.1.norm2.bias",
    ],
)
def test_a_missing_tensor_is_named(name: str) -> None:
    state = make_state()
    del state[name]
    with pytest.raises(UserError, match=rf"'{re.escape(name)}' is missing"):
        load(state)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("pos_embed", (1, 1 + N + 1, DIM), r"'pos_embed' has 17 positions.*no square"),
        ("pos_embed", (1 + N, DIM), r"'pos_embed' has 2 dimensions, not 3"),
        ("patch_embed.proj.weight", (DIM, 3, PATCH, PATCH + 1), r"'patch_embed.proj.weight'.*only square"),
        ("patch_embed.proj.weight", (DIM, 1, PATCH, PATCH), r"1 colours"),
        ("norm.weight", (DIM + 1,), r"'norm.weight' is \(33,\) where the other tensors ask for \(32,\)"),
        ("decoder_pred.weight", (Q + 1, DECODER_DIM), r"'decoder_pred.weight' is \(193, 16\)"),
        ("blocks.0.extra", (1,), r"'blocks.0.extra' is no part of MAE"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(make_state() | {name: torch.zeros(shape)})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 64}, r"images of 32, not 64; set image_size=32"),
        ({"num_heads": None}, r"width 32 do not tell how many heads; set num_heads"),
        ({"decoder_num_heads": None}, r"set decoder_num_heads"),
        ({"num_heads": 5}, r"divisible by 4 and by num_heads, which is 5"),
        ({"num_heads": 0}, r"num_heads, which is 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_a_remedy(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(make_state(), **settings)


@pytest.mark.parametrize("content", [{}, {"model": {}}, {"model": "none"}, {"epoch": 3}])
def test_a_dictionary_without_tensors_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="holds no tensors"):
        load(content)


def test_reconstruction_without_a_decoder_is_refused() -> None:
    images, noise = make_batch()
    with pytest.raises(UserError, match="encoder alone"):
        load(make_state(decoder=False)).reconstruct(images, noise=noise)


def test_noise_of_another_shape_is_refused() -> None:
    images, noise = make_batch()
    with pytest.raises(UserError, match=r"noise is \(2, 15\); it must be \(2, 16\)"):
        load(make_state()).reconstruct(images, noise=noise[:, 1:])


def test_the_official_layout_round_trips_exactly(tmp_path: Path) -> None:
    state = make_state()
    export_encoder(load(state), tmp_path / "new" / "mae.pth", format="mae")
    stored = torch.load(tmp_path / "new" / "mae.pth", weights_only=True)["model"]
    assert_close(stored, state, rtol=0, atol=0)


def test_an_encoder_round_trips_through_the_official_layout(tmp_path: Path) -> None:
    encoder = vit(IMAGE, dim=DIM, depth=DEPTH, heads=HEADS, patch=PATCH)
    export_encoder(encoder, tmp_path / "encoder.pth", format="mae")
    assert_close(mae_state(load(tmp_path / "encoder.pth")), mae_state(encoder), rtol=0, atol=0)


def test_safetensors_hold_the_encoder_and_load_again(tmp_path: Path) -> None:
    model = load(make_state())
    export_encoder(model, tmp_path / "encoder.safetensors", format="safetensors")
    assert_close(load_file(tmp_path / "encoder.safetensors"), mae_state(model.encoder), rtol=0, atol=0)
    assert_close(mae_state(load(tmp_path / "encoder.safetensors")), mae_state(model.encoder), rtol=0, atol=0)


def test_timm_loads_the_exported_file_itself(tmp_path: Path) -> None:
    encoder, (images, _) = vit(IMAGE, dim=192, depth=12, heads=3, patch=16).eval(), make_batch()
    export_encoder(encoder, tmp_path / "encoder.pth", format="timm")
    loaded = timm.create_model(
        "vit_tiny_patch16_224", img_size=IMAGE, num_classes=0, checkpoint_path=str(tmp_path / "encoder.pth")
    ).eval()
    assert isinstance(loaded, timm.models.VisionTransformer)
    assert_close(dict(loaded.state_dict()), mae_state(encoder), rtol=0, atol=0)
    assert_close(loaded.forward_features(images), encoder.encode(images, None), rtol=1e-5, atol=1e-5)
