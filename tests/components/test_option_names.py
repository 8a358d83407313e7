"""What an option means its component says: plug-ins whose options are named otherwise are treated alike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN
from torch import Tensor

import cmae_ablate
from cmae_ablate.cli.weights.reconstructing import heat_rows
from cmae_ablate.components.backbones.vit import vit
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.data.arrays import DataArrays, ExpectedSize
from cmae_ablate.errors import UserError
from cmae_ablate.runner.budget import with_epochs
from cmae_ablate.runner.cell import CellContext
from cmae_ablate.runner.hours import Speed, Workload, estimate
from cmae_ablate.runner.timing import time_kinds
from cmae_ablate.runtime import Runtime
from cmae_ablate.slots import (
    BACKBONES,
    CROPS,
    EVALUATIONS,
    Encoder,
    EvaluationContext,
    EvaluationResult,
    ImageSource,
    Refresh,
)
from cmae_ablate.study.settings import apply, default_tree
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.cost import measure
from cmae_ablate.training.flops import evaluation_flops

TRAIN, HELD_OUT = 100, 30
SIZE = ExpectedSize(TRAIN, HELD_OUT, 4, 32, "made up")
OUTSIDE = ("components", "study/trial_spec.py")
"""Where options may be looked up: in components, and where roles that components declare are read."""
ROLES = {"epochs", "warmup_epochs", "interval", "augmented", "heatmap", "norm", "threshold", "normalization"}
ROLES |= {"source", "strong_views", "depth"}


class Lookout:
    """Looks at every image from time to time, and calls its schedule otherwise.

    Args:
        quiet: Epochs before the first look.
        every: Epochs from look to look.
    """

    heatmap_name, threshold = "left half", 0.5

    def __init__(self, num_images: int, true_boxes: Tensor, *, quiet: int = 4, every: int = 3) -> None:
        self.quiet, self.every = quiet, every

    def sample(self, indices: Tensor, height: int, width: int, rng: torch.Generator, view: int = 0) -> Tensor:
        return torch.tensor([0, 0, height, width]).expand(len(indices), 4)

    def refresh(self, epoch: int, encoder: Encoder, images: ImageSource) -> Refresh | None:
        return None

    def refresh_epochs(self, epochs: int) -> Sequence[int]:
        return range(self.quiet, epochs, self.every)

    def heatmap(self, encoder: Encoder, images: Tensor) -> Tensor:
        left = torch.tensor([1.0, 1.0, 0.0, 0.0])
        return left.expand(len(images), 4, 4)

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        pass


class Reading:
    """Reads frozen features; its option `epochs` counts something else.

    Args:
        epochs: Of the Earth's history.
    """

    metrics: tuple[str, ...] = ("top1",)
    trains_encoder = False

    def __init__(self, *, epochs: int = 99) -> None:
        pass

    def __call__(self, context: EvaluationContext) -> EvaluationResult:
        raise AssertionError("nothing is evaluated here")


class Training(Reading):
    """Trains the encoder, and calls its schedule otherwise.

    Args:
        rounds: Passes over the training images.
        slow_rounds: Of these, with a rising learning rate.
    """

    trains_encoder = True

    def __init__(self, *, rounds: int = 7, slow_rounds: int = 2) -> None:
        self.rounds = rounds

    def encoder_passes(self) -> int:
        return self.rounds


class Augmenting(Training):
    """Trains a layer on features of images that are augmented anew in each round."""

    trains_encoder = False


def of_file(image_size: int, *, colours: str = "imagenet") -> VitEncoder:
    """Weights with a mean and deviation of their own.

    Args:
        colours: Whose.
    """
    return vit(image_size, dim=32, depth=1, heads=2, patch=8)


@pytest.fixture(autouse=True)
def plug_ins() -> Iterator[None]:
    CROPS.register("lookout", warmup="quiet")(Lookout)
    EVALUATIONS.register("reading")(Reading)
    EVALUATIONS.register("training", epochs="rounds", warmup="slow_rounds")(Training)
    EVALUATIONS.register("augmenting", epochs="rounds")(Augmenting)
    BACKBONES.register("of_file", normalization="colours")(of_file)
    yield
    for slot, names in (
        ("crop", ["lookout"]),
        ("evaluations", ["reading", "training", "augmenting"]),
        ("backbone", ["of_file"]),
    ):
        for name in names:
            del SLOTS[slot]._components[name]


def changed(spec: TrialSpec, **changes: Any) -> TrialSpec:
    tree = spec.to_tree()
    for path, value in changes.items():
        tree = apply(tree, tuple(path.split("__")), value)
    return resolve(tree)


@pytest.mark.parametrize(
    ("name", "passes_forward", "passes_trained"),
    [
        ("reading", TRAIN + HELD_OUT, 0),
        ("training", HELD_OUT, 7 * TRAIN),
        ("augmenting", TRAIN + HELD_OUT + 7 * TRAIN, 0),
    ],
)
def test_an_evaluation_costs_the_passes_that_it_tells(
    tiny_spec: TrialSpec, name: str, passes_forward: int, passes_trained: int
) -> None:
    spec = changed(tiny_spec, evaluations={"mine": {"name": name}})
    cost = measure(spec, 32)
    found = evaluation_flops(cost, spec.evaluations["mine"], TRAIN, HELD_OUT)
    expected = passes_forward * cost.flops_encode + passes_trained * cost.flops_train_encoder
    assert found == pytest.approx(expected)


def test_evaluations_share_the_pass_of_frozen_features_unless_they_encode_again(tiny_spec: TrialSpec) -> None:
    speed = Speed(1e9, 1e9, measured=True)

    def hours(**evaluations: Any) -> float:
        spec = changed(
            tiny_spec, evaluations__knn="none", **{f"evaluations__{k}": v for k, v in evaluations.items()}
        )
        return estimate(Workload(spec, SIZE, measure(spec, 32)), speed, "").hours * 3600e9

    encode = measure(tiny_spec, 32).flops_encode
    alone = hours(one={"name": "reading"})
    assert hours(one={"name": "reading"}, two={"name": "reading"}) == pytest.approx(alone)
    again = (TRAIN + HELD_OUT + 7 * TRAIN) * encode
    assert hours(one={"name": "reading"}, two={"name": "augmenting"}) == pytest.approx(alone + again)


def test_looks_of_a_crop_cost_what_it_tells(tiny_spec: TrialSpec) -> None:
    plain, looking = (
        changed(tiny_spec, training__epochs=11, **more) for more in ({}, {"crop": {"name": "lookout"}})
    )
    speed = Speed(1e9, 1e9, measured=True)
    seconds = [
        estimate(Workload(spec, SIZE, measure(spec, 32)), speed, "").hours * 3600 for spec in (plain, looking)
    ]
    looks = 3  # before epochs 4, 7 and 10
    expected = looks * TRAIN * measure(plain, 32).flops_encode / 1e9
    assert seconds[1] - seconds[0] == pytest.approx(expected)


def test_a_trial_with_such_a_crop_is_timed(tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmae_ablate.runner.timing.SECONDS", 0.1)
    spec = changed(tiny_spec, crop={"name": "lookout", "quiet": 0})
    (speed,) = time_kinds([Workload(spec, SIZE, measure(spec, 32))], 1e10, Runtime(), workers=1).values()
    assert speed.measured and speed.training > 0


def test_warm_ups_are_clipped_to_their_own_schedules_by_their_own_names(tiny_spec: TrialSpec) -> None:
    spec = changed(
        tiny_spec,
        training__epochs=3,
        crop={"name": "lookout", "quiet": 9},
        evaluations={"mine": {"name": "training", "rounds": 5, "slow_rounds": 8}},
    )
    assert spec["crop"].options["quiet"] == 2
    assert spec.evaluations["mine"].options["slow_rounds"] == 4
    assert spec.notices[-2:] == (
        "crop.quiet 9 does not fit 3 epochs; clipped to 2",
        "evaluations.mine.slow_rounds 8 does not fit 5 epochs; clipped to 4",
    )


def test_a_budget_gives_the_crops_warm_up_its_share(tiny_spec: TrialSpec) -> None:
    spec = changed(tiny_spec, training__epochs=8, crop={"name": "lookout", "quiet": 4})
    assert with_epochs(spec, 4)["crop"].options == {"quiet": 2, "every": 3}


@pytest.mark.parametrize(("colours", "is_imagenet"), [("imagenet", True), ("data", False)])
def test_images_are_normalised_as_the_backbone_tells(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, colours: str, is_imagenet: bool
) -> None:
    spec = changed(tiny_spec, backbone={"name": "of_file", "colours": colours})
    found = CellContext(tiny_data, Runtime(), tmp_path).normalised_for(spec).data.mean
    assert (found == IMAGENET_DEFAULT_MEAN) == is_imagenet


def test_pictures_show_the_crops_own_heat_map_and_boxes_at_its_threshold(
    tiny_spec: TrialSpec, tiny_data: DataArrays
) -> None:
    crop = resolve(apply(default_tree(), ("crop",), {"name": "lookout"}))["crop"]
    encoder = vit(32, dim=32, depth=1, heads=2, patch=8).eval()
    rows = heat_rows(encoder, tiny_data, tiny_data.test, 2, crop)
    assert [row.title for row in rows] == ["channel sum", "class attention", "left half\n(the trial's)"]
    top, left, bottom, right = rows[-1].boxes[0]
    # Scaled to pixels bilinearly, the map crosses one half at the middle of the image.
    assert (top, left, bottom, right) == (0, 0, 1, 0.5)


def test_a_role_that_names_no_option_is_refused() -> None:
    with pytest.raises(UserError, match=r"crop: 'lost' is registered with the option 'quite'.*'quiet'"):
        CROPS.register("lost", warmup="quite")(Lookout)


def test_no_other_part_of_the_package_looks_options_up_by_these_names() -> None:
    root = Path(cmae_ablate.__file__).parent
    lookup = re.compile(r"""options(?:\.get\(|\[)\s*["'](\w+)["']|["'](\w+)["'] in [\w.\[\]"']*options""")
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root).as_posix()
        if place.startswith(OUTSIDE):
            continue
        for found in lookup.finditer(path.read_text()):
            assert (found[1] or found[2]) not in ROLES, f"{place}: {found[0]}"
