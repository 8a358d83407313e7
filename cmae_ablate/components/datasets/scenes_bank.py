"""The embedded pictures of `scenes`: panoramas to look into, sprites to paste."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LEVELS = 8

PANORAMAS = {
    "train": (
        *("apartment", "bridge", "city", "forest", "hall", "night"),
        *("sky", "studio", "sunrise", "sunset", "warehouse", "workshop"),
    ),
    "validation": ("dawn", "lobby"),
    "test": ("esplanade", "lab", "park", "venice"),
}
"""Which places each split sees: no background of validation or test occurs in training."""


@dataclass(frozen=True)
class Panorama:
    """An equirectangular photograph at falling resolutions.

    Attributes:
        levels: RGB from full width down by the square root of two each, (H_k, W_k, 3) int32 in [0, 255].
    """

    levels: tuple[NDArray[np.int32], ...]

    def level(self, width: float) -> NDArray[np.int32]:
        """The narrowest level that is at least `width` pixels wide; the full one where none is."""
        wide_enough = [level for level in self.levels if level.shape[1] >= width]
        return wide_enough[-1] if wide_enough else self.levels[0]


@dataclass(frozen=True)
class Bank:
    """All pictures.

    Attributes:
        panoramas: By split, in the order of `PANORAMAS`.
        class_names: Names of the 32 classes; class i belongs to group i // 4.
        sprites: Tight-cropped RGBA pictures of each class.
    """

    panoramas: dict[str, tuple[Panorama, ...]]
    class_names: tuple[str, ...]
    sprites: tuple[tuple[Image.Image, ...], ...]


@cache
def load_bank() -> Bank:
    """Read the bank from the package, once a process."""
    folder = files("cmae_ablate") / "assets" / "scenes"
    panoramas: dict[str, tuple[Panorama, ...]] = {}
    for split, names in PANORAMAS.items():
        found = []
        for name in names:
            with (folder / "panoramas" / f"{name}.jpg").open("rb") as file, Image.open(file) as photograph:
                found.append(_pyramid(photograph.convert("RGB")))
        panoramas[split] = tuple(found)
    sprites: dict[str, list[Image.Image]] = {}
    with (folder / "sprites.png").open("rb") as file, Image.open(file) as atlas:
        for entry in json.loads((folder / "sprites.json").read_text(encoding="utf-8")):
            sprites.setdefault(entry["class"], []).append(atlas.crop(entry["box"]))
    return Bank(panoramas, tuple(sprites), tuple(tuple(found) for found in sprites.values()))


def _pyramid(photograph: Image.Image) -> Panorama:
    widths = [round(photograph.width / 2 ** (step / 2)) for step in range(_LEVELS)]
    resized = [photograph.resize((width, width // 2), Image.Resampling.BOX) for width in widths]
    return Panorama(tuple(np.asarray(level, np.int32) for level in resized))
