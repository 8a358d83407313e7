from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms.functional import normalize, resize

from cmae_ablate.components.backbones.vit import vit
from cmae_ablate.components.evaluations.features import POOLINGS, FrozenFeatures, PixelFeatures
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.errors import UserError
from cmae_ablate.runtime import Runtime
from tests.components.evaluations.patterns import pattern_data, small_encoder


def _reference(encoder: VitEncoder, images: NDArray[np.uint8], pooling: str) -> torch.Tensor:
    rows = []
    for image in images:
        tokens = encoder.encode(normalize(torch.from_numpy(image) / 255, [0.5] * 3, [0.25] * 3)[None], None)
        rows.append(tokens[0, 1:].mean(dim=0) if pooling == "mean" else tokens[0, 0])
    return torch.stack(rows).detach()


def test_features_agree_with_encoding_one_image_at_a_time() -> None:
    encoder, data = small_encoder(), pattern_data()
    features = FrozenFeatures(encoder, data, Runtime(), batch_size=7)
    for pooling in ("mean", "cls"):
        expected = _reference(encoder, data.test.images, pooling)
        torch.testing.assert_close(features.get("test", pooling), expected, rtol=1e-4, atol=1e-5)


def test_each_split_is_encoded_once_for_both_poolings(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, data = small_encoder(), pattern_data()
    batches: list[int] = []
    encode = encoder.encode
    monkeypatch.setattr(
        encoder, "encode", lambda images, mask: (batches.append(len(images)), encode(images, mask))[1]
    )
    features = FrozenFeatures(encoder, data, Runtime(), batch_size=20)
    for pooling in ("mean", "cls", "mean"):
        features.get("test", pooling)
    assert batches == [20, 20]


def test_features_that_are_not_finite_are_said_before_anything_is_fitted() -> None:
    encoder, data = small_encoder(), pattern_data()
    with torch.no_grad():
        next(encoder.parameters()).fill_(float("nan"))
    features = FrozenFeatures(encoder, data, Runtime(), batch_size=7)
    with pytest.raises(UserError, match="features of the train images are not finite"):
        features.get("train", "mean")


def test_images_of_another_size_are_resized_to_the_encoder() -> None:
    data = pattern_data()
    encoder = vit(24, dim=16, depth=1, heads=2, patch=8)
    features = FrozenFeatures(encoder, data, Runtime(), batch_size=64).get("validation", "mean")
    unit = torch.from_numpy(data.validation.images) / 255
    larger = resize(unit, [24, 24], interpolation=3, antialias=True).clamp(0, 1)
    expected = encoder.encode((larger - 0.5) / 0.25, None)[:, 1:].mean(dim=1).detach()
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-3)


def test_an_encoder_in_training_mode_is_read_in_eval_mode_and_left_in_training() -> None:
    encoder, data = small_encoder(), pattern_data()
    encoder.train()
    dropout = torch.nn.Dropout(0.5)
    encoder.blocks[0].register_forward_hook(
        lambda module, args, output: dropout.train(module.training)(output)
    )
    first, second = (FrozenFeatures(encoder, data, Runtime()).get("test", "mean") for _ in range(2))
    assert torch.equal(first, second)
    assert encoder.training


def test_bfloat16_autocast_yields_features_in_fp32() -> None:
    encoder, data = small_encoder(), pattern_data()
    exact = FrozenFeatures(encoder, data, Runtime()).get("test", "mean")
    rounded = FrozenFeatures(encoder, data, Runtime(precision="bf16")).get("test", "mean")
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0.1)


def test_small_images_are_raw_pixels_normalised_and_flattened() -> None:
    data = pattern_data()
    pixels = PixelFeatures(data, side=16).get("test", "mean")
    expected = (torch.from_numpy(data.test.images).flatten(1) / 255 - 0.5) / 0.25
    torch.testing.assert_close(pixels, expected)


def test_large_images_are_shrunk_before_they_are_flattened() -> None:
    data = pattern_data()
    white = replace(data.test, images=np.full_like(data.test.images, 255))
    pixels = PixelFeatures(replace(data, test=white), side=4).get("test", "cls")
    torch.testing.assert_close(pixels, torch.full((40, 48), 2.0))


def test_patch_tokens_of_some_images_are_those_of_the_pass_bit_for_bit() -> None:
    encoder, data = small_encoder(), pattern_data()
    for token_bytes in (0, 2**30):
        features = FrozenFeatures(encoder, data, Runtime(), batch_size=20, token_bytes=token_bytes)
        whole = torch.cat(list(features.token_batches("train")))
        assert whole.shape == (96, 16, 16) == (96, *features.token_shape)
        indices = torch.tensor([95, 3, 40, 3, *range(30, 60)])
        assert torch.equal(features.tokens("train", indices), whole[indices])


def test_a_pass_for_tokens_leaves_the_pooled_features_that_get_would_find(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder, data = small_encoder(), pattern_data()
    expected = {
        pooling: FrozenFeatures(encoder, data, Runtime()).get("test", pooling) for pooling in POOLINGS
    }
    features = FrozenFeatures(encoder, data, Runtime())
    for _ in features.token_batches("test"):
        pass
    monkeypatch.setattr(encoder, "encode", None)
    assert all(torch.equal(features.get("test", pooling), expected[pooling]) for pooling in POOLINGS)


def test_training_tokens_are_kept_only_within_the_memory_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, data = small_encoder(), pattern_data()
    needed = 96 * 16 * 16 * 4
    passes = {}
    encode = encoder.encode
    for token_bytes in (needed, needed - 1):
        calls: list[int] = []
        monkeypatch.setattr(
            encoder, "encode", lambda images, mask, calls=calls: (calls.append(1), encode(images, mask))[1]
        )
        features = FrozenFeatures(encoder, data, Runtime(), batch_size=96, token_bytes=token_bytes)
        for _ in range(3):
            list(features.token_batches("train"))
        passes[token_bytes] = len(calls)
    assert passes == {needed: 1, needed - 1: 3}


def test_tokens_of_raw_pixels_are_the_patches_row_by_row() -> None:
    data = pattern_data()
    features = PixelFeatures(data)
    assert features.token_shape == (64, 12)
    tokens = torch.cat(list(features.token_batches("test")))
    image = (torch.from_numpy(data.test.images[5]) / 255 - 0.5) / 0.25
    patch = [
        image[channel, 2 + row, 6 + column] for row in (0, 1) for column in (0, 1) for channel in range(3)
    ]
    torch.testing.assert_close(tokens[5, 8 * 1 + 3], torch.stack(patch))
    assert torch.equal(features.tokens("test", torch.tensor([5, 0])), tokens[[5, 0]])
