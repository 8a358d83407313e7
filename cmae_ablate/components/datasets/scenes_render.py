"""One image of `scenes`: a look into a panorama with a sprite of any hue pasted on it.

Sampling and colours are reckoned in fixed point, so that machines whose trigonometry differs in the last
bit still agree on every pixel, and with it on the digest of the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmae_ablate.components.datasets.scenes_bank import Bank, Panorama
from cmae_ablate.data.writer import SPLITS

FIELD_OF_VIEW = (40.0, 75.0)  # degrees
PITCH = (-30.0, 25.0)  # degrees, positive looks up
ROTATION = 25.0  # degrees to either side
LONGEST_SIDE = (0.55, 0.95)  # of the image
TRUNCATED = 0.4  # of the objects may reach beyond the border,
HIDDEN = 0.25  # by at most this part of their height and of their width
BRIGHTNESS = (0.75, 1.2)
TINT = (0.85, 1.15)
NOISE = 3.0  # standard deviation in grey levels of 255
RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""NTSC's luma and two axes of chroma; turning the chroma changes the hue and no pixel's luma."""
_HUE_UNITS = 1024
_VISIBLE_ALPHA = 128


@dataclass(frozen=True)
class Scene:
    """A finished image.

    Attributes:
        image: RGB, (3, S, S) uint8.
        label: Class of its object in [0, 32).
        box: Top, left, bottom, right of the visible part of the object in [0, 1].
        place: Which of its split's panoramas is the background.
    """

    image: NDArray[np.uint8]
    label: int
    box: tuple[float, float, float, float]
    place: int


def render(bank: Bank, seed: int, split: str, index: int, size: int) -> Scene:
    """Generate image `index` of a split, the same one whenever and in whatever order it is asked for.

    Args:
        bank: The pictures.
        seed: Which data set of all that the recipe can make.
        split: `train`, `validation` or `test`; decides which panoramas are looked into.
        index: Position in the split; the class is its remainder by the number of classes.
        size: Height and width S in pixels.
    """
    rng = np.random.default_rng((seed, SPLITS.index(split), index))
    label = index % len(bank.class_names)
    places, sprites = bank.panoramas[split], bank.sprites[label]
    place = int(rng.integers(len(places)))
    canvas = look_into(
        places[place],
        size,
        field_of_view=math.radians(rng.uniform(*FIELD_OF_VIEW)),
        yaw=rng.uniform(0, 2 * math.pi),
        pitch=math.radians(rng.uniform(*PITCH)),
    )
    sprite = turn_hue(sprites[rng.integers(len(sprites))], rng.uniform(0, 2 * math.pi))
    color, alpha = paste(sprite, size, rng)
    gain = (rng.uniform(*BRIGHTNESS) * rng.uniform(*TINT, size=3)).astype(np.float32)
    opacity = alpha[..., None] / np.float32(255)
    blended = canvas + (np.minimum(color * gain, 255) - canvas) * opacity
    blended += NOISE * rng.standard_normal(blended.shape, dtype=np.float32)
    np.clip(np.rint(blended, out=blended), 0, 255, out=blended)
    image = blended.astype(np.uint8).transpose(2, 0, 1)
    return Scene(image, label, visible_box(alpha), place)


def look_into(
    panorama: Panorama, size: int, *, field_of_view: float, yaw: float, pitch: float
) -> NDArray[np.int32]:
    """Perspective view into a panorama, (size, size, 3) in [0, 255].

    Args:
        panorama: What to look into.
        size: Height and width of the view in pixels.
        field_of_view: Angle between the left and the right edge, in radians.
        yaw: Direction of the optical axis along the horizon, in radians; 0 is the panorama's left edge.
        pitch: Its height above the horizon, in radians.
    """
    focal = size / 2 / math.tan(field_of_view / 2)
    offsets = (np.arange(size) + 0.5 - size / 2) / focal
    right, down = offsets[None, :], offsets[:, None]
    forward = math.cos(pitch) + down * math.sin(pitch)
    up = math.sin(pitch) - down * math.cos(pitch)
    longitude = yaw + np.arctan2(right, forward)
    latitude = np.arctan2(up, np.hypot(right, forward))
    # Not wider than one panorama pixel per image pixel at the centre, where the view is densest: no aliasing.
    pixels = panorama.level(2 * math.pi * focal)
    height, width, _ = pixels.shape
    column = np.rint(256 * (longitude / (2 * math.pi) * width - 0.5)).astype(np.int64)
    row = np.rint(256 * np.clip((0.5 - latitude / math.pi) * height - 0.5, 0, height - 1)).astype(np.int64)
    return _bilinear(pixels, row, column)


def _bilinear(
    pixels: NDArray[np.int32], row: NDArray[np.int64], column: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Sample at positions in 1/256 pixel; columns wrap around."""
    height, width, _ = pixels.shape
    flat = pixels.reshape(-1, 3)
    top, left = row >> 8, (column >> 8) % width
    bottom, right = np.minimum(top + 1, height - 1), (left + 1) % width
    down, across = ((part & 255).astype(np.int32)[..., None] for part in (row, column))
    top, bottom = top * width, bottom * width
    upper = flat.take(top + left, 0) * (256 - across) + flat.take(top + right, 0) * across
    lower = flat.take(bottom + left, 0) * (256 - across) + flat.take(bottom + right, 0) * across
    blended: NDArray[np.int32] = (upper * (256 - down) + lower * down + (1 << 15)) >> 16
    return blended


def turn_hue(sprite: Image.Image, angle: float) -> Image.Image:
    """Turn all hues by one angle; luma, and so shape and shading, stay.

    Colours that no screen shows are clipped, which costs light colours some of their luma.

    Args:
        sprite: RGBA; its opacity stays.
        angle: In the plane of chroma, in radians.
    """
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    matrix = np.linalg.inv(RGB_TO_YIQ) @ turn @ RGB_TO_YIQ
    # Multiples of 1/1024: every product and sum below is exact in float32, in whatever order.
    units = np.rint(matrix * _HUE_UNITS).astype(np.float32)
    pixels = np.array(sprite)
    turned = np.rint(pixels[..., :3].astype(np.float32) @ units.T / _HUE_UNITS)
    pixels[..., :3] = np.clip(turned, 0, 255)
    return Image.fromarray(pixels)


def paste(
    sprite: Image.Image, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Flip, turn, scale and shift a sprite at random.

    Returns:
        Colour (size, size, 3) and opacity (size, size), both in [0, 255].
    """
    if rng.random() < 0.5:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned = sprite.rotate(rng.uniform(-ROTATION, ROTATION), Image.Resampling.BILINEAR, expand=True)
    upper, left, lower, right = _extent(np.asarray(turned)[..., 3])
    turned = turned.crop((left, upper, right, lower))
    scale = rng.uniform(*LONGEST_SIDE) * size / max(turned.size)
    width, height = (max(1, round(side * scale)) for side in turned.size)
    # A filter without negative lobes: others draw a halo around the object.
    scaled = turned.resize((width, height), Image.Resampling.HAMMING)
    hidden = HIDDEN if rng.random() < TRUNCATED else 0.0
    left, top = (round(rng.uniform(-hidden * side, size - (1 - hidden) * side)) for side in (width, height))
    layer = Image.new("RGBA", (size, size))
    layer.paste(scaled, (left, top))
    pixels = np.asarray(layer)
    return pixels[..., :3], pixels[..., 3]


def visible_box(alpha: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Top, left, bottom, right of what is at least half opaque, as fractions of the image."""
    size = len(alpha)
    top, left, bottom, right = _extent(alpha)
    return top / size, left / size, bottom / size, right / size


def _extent(alpha: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """First and one past the last row and column that are half opaque: top, left, bottom, right in pixels."""
    solid = alpha >= _VISIBLE_ALPHA
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
