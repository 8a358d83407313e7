"""An encoder with a classification head, as MAE fine-tunes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cmae_ablate.components.evaluations.features import pool
from cmae_ablate.components.networks import Encoder
from cmae_ablate.data.arrays import DataArrays, Split
from cmae_ablate.data.images import WholeImages
from cmae_ablate.runtime import Runtime

_HEAD_STD = 2e-5
_NORM_EPS = 1e-6
_PREDICTION_BATCH = 256


class Classifier(nn.Module):
    """Mean patch token before the encoder's final norm, a LayerNorm of its own, a linear layer.

    Args:
        encoder: Becomes part of the classifier and is trained with it.
        num_classes: How many classes there are.
    """

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.fc_norm = nn.LayerNorm(encoder.embed_dim, eps=_NORM_EPS)
        self.head = nn.Linear(encoder.embed_dim, num_classes)
        nn.init.trunc_normal_(self.head.weight, std=_HEAD_STD)
        nn.init.zeros_(self.head.bias)
        # A patch embedding that pretraining held fixed is fine-tuned like the rest.
        self.requires_grad_(True)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) to logits (B, classes)."""
        tokens = self.encoder.encode(images, None, norm=False)
        logits: Tensor = self.head(self.fc_norm(pool(tokens, "mean")))
        return logits

    def group_matcher(self, coarse: bool = False) -> Mapping[str, object]:
        """Which parameters form a layer, in timm's form: the stem, each block, and last the rest."""
        return {
            "stem": r"^encoder\.(?:cls_token|pos_embed|patch_embed)",
            "blocks": [(r"^encoder\.blocks\.(\d+)", None)],
        }


def layer_decay_groups(
    classifier: Classifier, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Parameter groups whose `lr_scale` shrinks by `layer_decay` for each layer below the head.

    Weight decay spares one-dimensional parameters, the class token and position embeddings, as in MAE.
    """

    from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]  # timm's re-export

    groups: list[dict[str, Any]] = param_groups_layer_decay(
        classifier,
        weight_decay=weight_decay,
        no_weight_decay_list=("encoder.cls_token", "encoder.pos_embed"),
        layer_decay=layer_decay,
    )
    return groups


def set_drop_path(module: nn.Module, rate: float) -> None:
    """Give every timm block stochastic depth, rising linearly from 0 in the first to `rate` in the last."""

    from timm.layers.drop import DropPath
    from timm.models.vision_transformer import Block

    blocks = [part for part in module.modules() if isinstance(part, Block)]
    for depth, block in enumerate(blocks):
        share = rate * depth / max(1, len(blocks) - 1)
        block.drop_path1, block.drop_path2 = DropPath(share), DropPath(share)


def predict(classifier: Classifier, data: DataArrays, split: Split, runtime: Runtime) -> Tensor:
    """Predicted class of each whole image of a split, (n,) int64 on the CPU; leaves eval mode on."""
    classifier.eval()
    source = WholeImages(data, split, classifier.encoder.image_size, runtime.device)
    predictions = []
    with torch.no_grad():
        for images in source.batches(_PREDICTION_BATCH):
            with runtime.autocast():
                logits = classifier(images)
            predictions.append(logits.float().argmax(dim=1).cpu())
    return torch.cat(predictions)
