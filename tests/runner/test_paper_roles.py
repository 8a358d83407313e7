"""Which variants the summary calls MAE and CMAE: known by what they do, not by what options are called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from cmae_ablate.components.registry import SLOTS
from cmae_ablate.runner.paper_roles import roles_of
from cmae_ablate.runner.results import dataset_of
from cmae_ablate.slots import AUGMENTATIONS
from cmae_ablate.study import design
from cmae_ablate.study.loading import load
from cmae_ablate.study.settings import apply, default_tree
from cmae_ablate.study.trial_spec import resolve

STUDIES = Path(__file__).parents[2] / "studies"


class Dimmed:
    """Darkens views; says which in a word of its own.

    Args:
        dark: Which views.
    """

    def __init__(self, *, dark: tuple[int, ...] = (1,)) -> None:
        self.strong_views = frozenset(dark)

    def __call__(self, images: Tensor, view: int, rng: torch.Generator) -> Tensor:
        return images / 2 if view in self.strong_views else images


@pytest.fixture(autouse=True)
def dimmed() -> Iterator[None]:
    AUGMENTATIONS.register("dimmed")(Dimmed)
    yield
    del SLOTS["augmentation"]._components["dimmed"]


def sizes(**parameters: float) -> pd.DataFrame:
    """Trials of which only the decoders' sizes are known."""
    return pd.DataFrame({"variant": list(parameters), "params.decoder": list(parameters.values())})


def variants(*, mae: dict[str, object] | None = None) -> list[design.Variant]:
    cmae = {
        "objectives": {"contrastive": {"name": "moco_v3"}, "position": {"name": "absolute"}},
        "crop": {"name": "contrastive"},
    }
    trees = {"plain": mae or {}, "full": cmae}
    return [
        design.Variant(label, {}, resolve(apply(default_tree(), (), tree))) for label, tree in trees.items()
    ]


def test_the_shipped_comparison_of_components_has_both_roles() -> None:
    study = load(STUDIES / "components.yaml")
    found, reference = design.variants(study), design.reference_label(study)
    trials = sizes(**{v.label: 1.0 if v.label.startswith("small") else 8.0 for v in found})
    assert roles_of(found, reference, trials) == {
        "MAE's decoder + no contrastive + no position + plain crop": "MAE",
        "small decoder + contrastive + position + ContrastiveCrop": "CMAE",
    }


def test_an_augmentation_that_is_strong_on_the_only_view_makes_it_no_mae() -> None:
    trials = sizes(plain=8.0, full=1.0)
    weak, strong = ({"augmentation": {"name": "dimmed", "dark": views}} for views in ([1], [0]))
    assert roles_of(variants(mae=weak), "plain", trials) == {"plain": "MAE", "full": "CMAE"}
    assert roles_of(variants(mae=strong), "plain", trials) == {}


@pytest.mark.parametrize("trials", [sizes(plain=8.0, full=8.0), sizes(plain=8.0), pd.DataFrame()])
def test_no_role_is_given_where_no_decoder_is_known_to_be_smaller(trials: pd.DataFrame) -> None:
    assert roles_of(variants(), "plain", trials) == {}


def test_a_data_set_of_any_images_is_called_after_its_folder() -> None:
    trees = [{"dataset": {"name": "folder", "source": "/photos/flowers"}}, {"dataset": {"name": "scenes"}}]
    mixed = [design.Variant("v", {}, resolve(apply(default_tree(), (), tree))) for tree in [*trees, trees[0]]]
    assert dataset_of(mixed) == "folder flowers, scenes"
