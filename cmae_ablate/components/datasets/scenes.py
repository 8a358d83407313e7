"""The embedded default data set."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cmae_ablate.components.datasets.scenes_bank import load_bank
from cmae_ablate.components.datasets.scenes_render import render
from cmae_ablate.components.protocols import DATASETS
from cmae_ablate.data.arrays import ArrayWriter, ExpectedSize, Progress

_REPORT_EVERY = 100


NUM_CLASSES = 32


@DATASETS.register("scenes", version=2, draw="seed")
class Scenes:
    """Semi-synthetic: photographs with one pasted sprite each, 32 classes, boxes known; nothing to download.

    Source: our own making. Backgrounds are perspective views into 18 CC0 panoramas, different ones for
    train, validation and test; objects are emoji of Noto (Apache 2.0) and Twemoji (CC-BY 4.0), turned in
    hue, rotated, scaled, tinted and partly cut off by the border. Licences: `assets/scenes/SOURCES.md`.
    Different here: nothing to differ from.

    Version 2 turns each object's hue at random and makes objects larger: in version 1 colour told the
    class, so that an untrained encoder, read attentively, came near a trained one. Each image carries its
    panorama as its group. Sizes were settled by what pretraining gains and by what a crop can find:
    `analysis/recipe/README.md`.

    It flatters whatever profits from pasted edges, from exactly one salient object, and from test
    objects that are the same drawings as in training; only places, poses and colours are new, and the
    places of test are four. Results on it are about the machinery and about localisation, not about
    natural images.

    Args:
        seed: Which images are generated; not the seed of a trial. Source: ours.
        num_train: Training images. Source: ours.
        num_validation: Validation images. Source: ours.
        num_test: Test images. Source: ours.
        image_size: Height and width in pixels. Source: ours.
    """

    caveat: str = (
        "Semi-synthetic images with one pasted sprite each: they flatter whatever profits from pasted edges "
        "and from exactly one salient object. Results say little about natural images."
    )

    def __init__(
        self,
        *,
        seed: Annotated[int, Field(ge=0)] = 0,
        num_train: Annotated[int, Field(ge=32)] = 6400,
        num_validation: Annotated[int, Field(ge=32)] = 3200,
        num_test: Annotated[int, Field(ge=32)] = 12800,
        image_size: Annotated[int, Field(ge=32, le=224)] = 64,
    ) -> None:
        self._seed = seed
        self._counts = {"train": num_train, "validation": num_validation, "test": num_test}
        self._size = image_size

    def expected_size(self) -> ExpectedSize:
        """Exact: the images are generated to order."""
        held_out = self._counts["validation"] + self._counts["test"]
        return ExpectedSize(self._counts["train"], held_out, NUM_CLASSES, self._size, "generated to order")

    def cache_key(self) -> str:
        """All options, readable."""
        counts = "-".join(str(count) for count in self._counts.values())
        return f"{self._size}px-{counts}-seed{self._seed}"

    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        """Generate every split; about a millisecond an image on one core."""
        bank = load_bank()
        writer.describe("scenes", bank.class_names, self._size)
        total = sum(self._counts.values())
        done = 0
        first_place = 0
        for split, count in self._counts.items():
            arrays = writer.allocate(split, count, grouped=True)
            assert arrays.groups is not None
            for index in range(count):
                scene = render(bank, self._seed, split, index, self._size)
                arrays.images[index] = scene.image
                arrays.labels[index] = scene.label
                arrays.boxes[index] = scene.box
                arrays.groups[index] = first_place + scene.place
                done += 1
                if done % _REPORT_EVERY == 0 or done == total:
                    progress("generating scenes", done, total)
            first_place += len(bank.panoramas[split])
