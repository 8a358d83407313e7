"""Whatever component a trial takes, everybody else's random numbers stay as they are: so seeds are paired."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS, ComponentSpec
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runtime import stream
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.model import MaskedImageModel, assemble
from cmae_ablate.training.views import TrainingViews

load_components()
SMALL = {"dim": 32, "depth": 1, "heads": 2, "patch": 8, "model": "test_vit"}
MAY_CHANGE = {
    # The decoder is as wide as encoder and target ask for, and masks have as many patches as the grid.
    "backbone": {"encoder", "decoder", "masks", "loss"},
    "masking": {"masks", "loss"},
    "decoder": {"decoder", "loss"},
    "target": {"decoder", "loss"},
    "crop": {"crops", "first view", "loss"},
    "augmentation": {"augmentation", "first view", "loss"},
}
"""What the component of each slot decides; all else of a trial it must leave alone."""
EVERY = pytest.mark.parametrize(
    "component",
    [
        component
        for slot, registry in SLOTS.items()
        for component in registry
        # Data are what all others work on, and an encoder from a file is not trained.
        if slot != "dataset" and not component.files
    ],
    ids=lambda component: f"{component.slot}-{component.name}",
)


def with_component(spec: TrialSpec, component: ComponentSpec[Any]) -> TrialSpec:
    options = {key: value for key, value in SMALL.items() if key in component.options.model_fields}
    path = tuple(component.slot.split("."))
    path = (*path, "added") if path == ("evaluations",) else path
    return resolve(apply(spec.to_tree(), path, {"name": component.name, **options}))


def drawn(spec: TrialSpec, data: DataArrays) -> dict[str, list[Tensor]]:
    """Everything that a trial draws before its first update, by whom it belongs to."""
    model = assemble(spec, 32)
    crop = spec["crop"].build(len(data.train), torch.from_numpy(np.array(data.train.boxes)))
    augmentation = spec["augmentation"].build()
    views = TrainingViews(data, crop, augmentation, 32, 16, spec.seed, torch.device("cpu"))
    order = views.order(1)
    images = next(views.epoch(1, 0, model.num_views))
    masks = model.sample_masks(16, spec.seed, 1, 0)
    noise = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return {
        "encoder": list(model.encoder.state_dict().values()),
        "decoder": list(model.decoder.state_dict().values()),  # type: ignore[attr-defined]  # it is a module
        "order": [torch.from_numpy(order)],
        "crops": [crop.sample(torch.arange(16), 64, 64, stream(spec.seed, "crop", 0, 0, 0))],
        "augmentation": [augmentation(noise, 0, stream(spec.seed, "augmentation", 0, 0, 0))],
        "first view": images[:1],
        "masks": [masks[0].ids_keep, masks[0].ids_hidden],
        "loss": [losses(model, spec, images, masks)],
    }


def losses(model: MaskedImageModel, spec: TrialSpec, images: list[Tensor], masks: list[Any]) -> Tensor:
    """The reconstruction loss of the first step, after a step's whole forward and backward."""
    terms = model(images, masks, {name: stream(spec.seed, name) for name in spec.objectives})
    model.total(terms).backward()  # type: ignore[no-untyped-call]
    model.after_step(0.1)
    return terms["reconstruction"].loss.detach()


@EVERY
def test_a_component_changes_no_numbers_but_its_own(
    component: ComponentSpec[Any], tiny_spec: TrialSpec, tiny_data: DataArrays
) -> None:
    plain, changed = drawn(tiny_spec, tiny_data), drawn(with_component(tiny_spec, component), tiny_data)
    for owner in plain.keys() - MAY_CHANGE.get(component.slot, set()):
        # Two views are encoded in one pass: the same numbers in another order of summation.
        tolerance = 1e-5 if owner == "loss" else 0.0
        torch.testing.assert_close(
            changed[owner], plain[owner], rtol=tolerance, atol=tolerance, msg=f"{owner} changed"
        )


@EVERY
def test_a_component_draws_from_no_global_generator(
    component: ComponentSpec[Any], tiny_spec: TrialSpec, tiny_data: DataArrays
) -> None:
    following: list[Callable[[], object]] = [random.random, np.random.random, lambda: torch.rand(()).item()]

    def numbers(between: Callable[[], object]) -> list[object]:
        random.seed(7)
        np.random.seed(7)
        torch.manual_seed(7)
        between()
        return [draw() for draw in following]

    spec = with_component(tiny_spec, component)
    assert numbers(lambda: drawn(spec, tiny_data)) == numbers(lambda: None)
