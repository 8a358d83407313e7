"""One encoded image to upright 8-bit RGB."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from PIL import Image

from cmae_ablate.components.datasets.file_tree import READ_ERRORS

FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM")
"""Pillow knows more, such as PostScript, for which it would start a program; these only are ever tried."""
BACKGROUND = (255, 255, 255)
"""What shows where an image is transparent: white, as on the pages that drawings and icons are made for."""
DECODE_ERRORS = (*READ_ERRORS, SyntaxError, TypeError, struct.error, Image.DecompressionBombError)
_MAX_PIXELS = 100_000_000
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Decoded:
    """An image, upright, 8-bit RGB.

    Attributes:
        image: The pixels.
        transparent: Whether some pixel let the background through.
        vanished: Whether nothing but the background is left, as of a white drawing.
        has_more: Whether further pictures follow in the file, as in an animation; this is the first one.
    """

    image: Image.Image
    transparent: bool = False
    vanished: bool = False
    has_more: bool = False


def decode(contents: bytes) -> Decoded:
    """An upright 8-bit RGB image; greyscale becomes three equal channels, transparency shows `BACKGROUND`.

    Raises:
        ValueError: The image is enormous, or its pixels have more than 8 bits.
        OSError: It is damaged, or of none of `FORMATS` (Pillow raises others of `DECODE_ERRORS` too).
    """
    with Image.open(io.BytesIO(contents), formats=FORMATS) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are more than {_MAX_PIXELS}")
        if image.mode.startswith(("I", "F")):
            # Pillow clips such pixels to 255 rather than scaling them: most of the image would be white.
            raise ValueError(f"pixels of mode {image.mode} have more than 8 bits; save it with 8 bits")
        image.load()
        found = replace(on_background(image), has_more=_has_more(image))
        turn = _UPRIGHT.get(_orientation(image))
        return found if turn is None else replace(found, image=found.image.transpose(turn))


def on_background(image: Image.Image) -> Decoded:
    """The image as RGB, laid on `BACKGROUND`.

    Transparent may be an alpha channel (RGBA, LA, PA and their premultiplied kin), entries of a palette, or
    one colour or grey that is declared so (tRNS of PNG).
    """
    if not image.has_transparency_data:
        return Decoded(image.convert("RGB"))
    if image.mode == "La":
        image = image.convert("LA")  # the only way from here
    layered = image.convert("RGBA")
    if layered.getchannel("A").getextrema() == (255, 255):
        return Decoded(layered.convert("RGB"))
    ground = Image.new("RGBA", layered.size, (*BACKGROUND, 255))
    found = Image.alpha_composite(ground, layered).convert("RGB")
    plain = all(
        found.getchannel(channel).getextrema() == (value, value) for channel, value in enumerate(BACKGROUND)
    )
    return Decoded(found, transparent=True, vanished=plain)


def _has_more(image: Image.Image) -> bool:
    """Whether an animation goes on, or pages follow; a camera's preview behind its photograph is neither."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # what follows is damaged, and nobody reads it
        return False


def _orientation(image: Image.Image) -> int:
    """The number that cameras leave, 1 to 8; 1, upright, where there is none that can be read."""
    try:
        # Only this tag is looked at: others may hold anything, and writing them back would fail on it.
        found: object = image.getexif().get(_ORIENTATION)
    except Exception:  # a damaged block may raise nearly anything, and the pixels are good without it
        return 1
    return found if isinstance(found, int) else 1


@contextmanager
def without_warnings() -> Iterator[None]:
    """Meanwhile Pillow keeps to itself what it would print about odd files: what matters is an error here.

    For the thread that starts others to decode, around all of them: filters belong to the process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
