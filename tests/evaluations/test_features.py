from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms.functional import normalize, resize

from cmae_ablate.components.backbones.vit import vit
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.evaluations.features import FrozenFeatures, PixelFeatures
from cmae_ablate.runtime import Runtime
from tests.evaluations.patterns import pattern_data, small_encoder


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
