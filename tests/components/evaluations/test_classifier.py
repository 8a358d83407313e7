from __future__ import annotations

import re

import torch
from timm.layers.drop import DropPath

from cmae_ablate.components.evaluations.classifier import (
    Classifier,
    layer_decay_groups,
    predict,
    set_drop_path,
)
from cmae_ablate.runtime import Runtime
from tests.components.evaluations.patterns import pattern_data, small_encoder


def test_logits_are_a_linear_layer_on_the_normalised_mean_of_unnormalised_patch_tokens() -> None:
    classifier = Classifier(small_encoder(), 4).eval()
    torch.nn.init.normal_(classifier.head.weight)
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    tokens = classifier.encoder.encode(images, None, norm=False)[:, 1:].mean(dim=1)
    centred = tokens - tokens.mean(dim=1, keepdim=True)
    scaled = centred / (tokens.var(dim=1, correction=0, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(classifier(images), scaled @ classifier.head.weight.T)


def test_learning_rates_decay_by_layer_as_in_mae() -> None:
    classifier = Classifier(small_encoder(), 4)
    depth, decay = 2, 0.5
    names = {id(parameter): name for name, parameter in classifier.named_parameters()}
    for group in layer_decay_groups(classifier, 0.05, decay):
        for parameter in group["params"]:
            name = names.pop(id(parameter))
            block = re.match(r"encoder\.blocks\.(\d+)", name)
            stem = name.startswith(("encoder.cls_token", "encoder.patch_embed"))
            layer = int(block.group(1)) + 1 if block else 0 if stem else depth + 1
            assert group["lr_scale"] == decay ** (depth + 1 - layer), name
            spared = parameter.ndim == 1 or name == "encoder.cls_token"
            assert group["weight_decay"] == (0.0 if spared else 0.05), name
    assert not names


def test_a_patch_embedding_that_pretraining_left_frozen_is_fine_tuned_too() -> None:
    encoder = small_encoder()
    encoder.patch_embed.requires_grad_(False)
    classifier = Classifier(encoder, 4)
    assert all(parameter.requires_grad for parameter in classifier.parameters())


def test_drop_path_rises_linearly_to_the_last_block() -> None:
    encoder = small_encoder()
    set_drop_path(encoder, 0.3)
    rates = [part.drop_prob for part in encoder.modules() if isinstance(part, DropPath)]
    assert rates == [0.0, 0.0, 0.3, 0.3]


def test_drop_path_drops_in_training_only() -> None:
    encoder = small_encoder()
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = encoder.encode(images, None)
    set_drop_path(encoder, 0.9)
    assert torch.equal(encoder.eval().encode(images, None), expected)
    assert not torch.equal(encoder.train().encode(images, None), expected)


def test_predictions_are_those_of_single_images_in_order() -> None:
    data = pattern_data()
    classifier = Classifier(small_encoder(), 4)
    torch.nn.init.normal_(classifier.head.weight)
    predictions = predict(classifier, data, data.test, Runtime())
    images = (torch.from_numpy(data.test.images) / 255 - 0.5) / 0.25
    assert predictions.tolist() == [int(classifier(image[None]).argmax()) for image in images]
