"""A small real encoder and views of random images through it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.networks import View
from cmae_ablate.components.protocols import BACKBONES
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.runtime import seeded
from cmae_ablate.tokens import PatchMask


@pytest.fixture
def encoder() -> VitEncoder:
    load_components()
    with seeded(0, "encoder"):
        encoder = BACKBONES["vit"].build({"dim": 16, "depth": 2, "heads": 2, "patch": 8}, 32)
    assert isinstance(encoder, VitEncoder)
    return encoder


@pytest.fixture
def make_views(encoder: VitEncoder) -> Callable[[int], list[View]]:
    """Two views of a batch: 16 patches, 5 of them visible."""
    rng = torch.Generator().manual_seed(1)

    def make(batch: int) -> list[View]:
        views = []
        for _ in range(2):
            mask = PatchMask.from_scores(torch.rand(batch, 16, generator=rng), 5)
            images = torch.rand(batch, 3, 32, 32, generator=rng)
            views.append(View(images, mask, encoder.encode(images, mask)))
        return views

    return make


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(2)
