from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cmae_ablate.components.datasets.image_decode import (
    DECODE_ERRORS,
    decode,
    on_background,
    without_warnings,
)

ALPHA = (0, 64, 255)
# One row of three pixels of colour 40, 80, 120, laid on white by hand: 255 + (colour - 255) * alpha / 255.
BLENDED = [(255, 255, 255), (201, 211, 221), (40, 80, 120)]
GREYS = [(255, 255, 255), (201, 201, 201), (40, 40, 40)]


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def pixels(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image)[0].astype(np.int64)


def with_alpha(mode: str, color: tuple[int, ...]) -> Image.Image:
    image = Image.new(mode, (3, 1))
    for column, alpha in enumerate(ALPHA):
        image.putpixel((column, 0), (*color, alpha))
    return image


def palette_image(alpha: bytes | int) -> bytes:
    image = Image.new("P", (3, 1))
    image.putpalette([40, 80, 120] * 3)
    for column in range(3):
        image.putpixel((column, 0), column)
    return encoded(image, transparency=alpha)


def close(found: NDArray[np.int64], expected: list[tuple[int, int, int]]) -> bool:
    return bool(np.abs(found - np.array(expected)).max() <= 1)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_transparent_colours_are_laid_on_white(form: str) -> None:
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    found = decode(encoded(with_alpha("RGBA", (40, 80, 120)), form, **options))
    assert close(pixels(found.image), BLENDED) and found.transparent


def test_transparent_greys_are_laid_on_white() -> None:
    assert close(pixels(decode(encoded(with_alpha("LA", (40,)))).image), GREYS)


def test_a_transparent_palette_is_laid_on_white() -> None:
    assert close(pixels(decode(palette_image(bytes(ALPHA))).image), BLENDED)
    one_entry = [(255, 255, 255), (40, 80, 120), (40, 80, 120)]
    assert close(pixels(decode(palette_image(0)).image), one_entry)


@pytest.mark.parametrize(
    ("mode", "hidden", "shown"), [("RGB", (1, 2, 3), (40, 80, 120)), ("L", 7, 40), ("1", 0, 255)]
)
def test_a_colour_declared_transparent_becomes_white(mode: str, hidden: Any, shown: Any) -> None:
    image = Image.new(mode, (3, 1), shown)
    image.putpixel((1, 0), hidden)
    found = pixels(decode(encoded(image, transparency=1 if mode == "1" and hidden else hidden)).image)
    assert found[1].tolist() == [255, 255, 255]
    assert found[0].tolist() == list(shown if isinstance(shown, tuple) else (shown,) * 3)


@pytest.mark.parametrize("mode", ["RGBa", "La", "PA"])
def test_modes_that_only_some_formats_give_are_laid_on_white_too(mode: str) -> None:
    if mode == "PA":
        image = Image.new("PA", (3, 1))
        image.putpalette([40, 80, 120] * 256)
        for column, alpha in enumerate(ALPHA):
            image.putpixel((column, 0), (0, alpha))
        assert close(pixels(on_background(image).image), BLENDED)
    elif mode == "La":
        assert close(pixels(on_background(with_alpha("LA", (40,)).convert("La")).image), GREYS)
    else:
        found = pixels(on_background(with_alpha("RGBA", (40, 80, 120)).convert("RGBa")).image)
        assert np.abs(found - np.array(BLENDED)).max() <= 3  # premultiplied to 8 bits, colours round


def test_an_opaque_alpha_channel_changes_no_pixel_and_is_not_told() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    opaque = Image.fromarray(noise).convert("RGBA")
    found = decode(encoded(opaque))
    np.testing.assert_array_equal(np.asarray(found.image), noise)
    assert not found.transparent


def test_a_white_drawing_is_known_to_have_vanished_and_a_black_one_is_seen() -> None:
    for color, vanished in ((255, True), (0, False)):
        image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
        image.paste((color, color, color, 255), (2, 2, 6, 6))
        found = decode(encoded(image))
        assert found.vanished is vanished
        assert (np.asarray(found.image)[0] == 255).all()
        assert (np.asarray(found.image)[3, 3] == color).all()


def exif_block(*entries: tuple[int, int, int, bytes]) -> bytes:
    """A hand-made TIFF directory: tag, type, count and four bytes each."""
    rows = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + rows + b"\0\0\0\0"


ORIENTED = (0x0112, 3, 1, b"\x03\0\0\0")  # upside down
MISTYPED = {
    "a resolution as text": (0x011A, 2, 4, b"abc\0"),
    "a resolution as an undefined": (0x011A, 7, 4, b"\1\2\3\4"),
    "text as numbers": (0x010F, 3, 2, b"\1\0\2\0"),
    "a text that lies beyond the end": (0x010E, 2, 4000, b"\xff\xff\xff\0"),
    "an unknown type": (0x0110, 99, 1, b"\0\0\0\0"),
    "a directory of details as text": (0x8769, 2, 4, b"abc\0"),
    "a directory of places nowhere": (0x8825, 4, 1, b"\xff\xff\xff\x7f"),
}


def half(form: str, exif: bytes) -> bytes:
    """White above, black below."""
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:16] = 255
    return encoded(Image.fromarray(picture), form, exif=exif)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("beside", MISTYPED)
def test_the_orientation_is_read_beside_a_mistyped_tag(form: str, beside: str) -> None:
    contents = half(form, exif_block(*sorted([ORIENTED, MISTYPED[beside]])))
    with without_warnings():
        upright = np.asarray(decode(contents).image)
    assert upright[:12].max() < 20 and upright[-12:].min() > 235


@pytest.mark.parametrize(
    "orientation", [(0x0112, 2, 2, b"3\0\0\0"), (0x0112, 3, 1, b"\x63\0\0\0"), (0x0112, 12, 1, b"\0\0\0\0")]
)
def test_an_orientation_that_is_none_leaves_an_image_as_stored(
    orientation: tuple[int, int, int, bytes],
) -> None:
    with without_warnings():
        stored = np.asarray(decode(half("JPEG", exif_block(orientation))).image)
    assert stored[:12].min() > 235


def test_a_block_of_rubbish_for_exif_leaves_an_image_as_stored() -> None:
    with without_warnings():
        assert np.asarray(decode(half("JPEG", b"Exif\0\0rubbish")).image)[:12].min() > 235


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_undone(orientation: int) -> None:
    # The corner colours of a picture as a camera held in eight ways stores it (EXIF 2.3, tag 274: where the
    # stored row 0 and column 0 are seen).
    seen = np.array([[0, 80], [160, 240]], np.uint8)  # top left, top right; bottom left, bottom right
    stored = {
        1: seen,
        2: seen[:, ::-1],
        3: seen[::-1, ::-1],
        4: seen[::-1],
        5: seen.T,
        6: [[80, 240], [0, 160]],
        7: [[240, 80], [160, 0]],
        8: [[160, 0], [240, 80]],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    contents = encoded(Image.fromarray(np.array(stored, np.uint8)), exif=exif)
    np.testing.assert_array_equal(np.asarray(decode(contents).image)[..., 0], seen)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


def foreign(form: str) -> bytes:
    return POSTSCRIPT if form == "EPS" else encoded(Image.new("RGB", (16, 16)), form)


@pytest.mark.parametrize("form", ["EPS", "PCX", "TGA", "ICO", "SGI", "PDF", "ICNS"])
def test_only_the_named_formats_are_tried_whatever_a_file_is_called(form: str) -> None:
    with pytest.raises(DECODE_ERRORS, match="cannot identify"):
        decode(foreign(form))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "MPO"])
def test_the_named_formats_are_read(form: str) -> None:
    found = np.asarray(decode(encoded(Image.new("RGB", (16, 16), (200, 100, 50)), form)).image)
    assert np.abs(found.astype(int) - (200, 100, 50)).max() < 20


def test_odd_files_print_no_warnings() -> None:
    contents = half("JPEG", exif_block(MISTYPED["a text that lies beyond the end"], ORIENTED))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with without_warnings():
            decode(contents)
    assert not caught


FRAMES = [Image.new("RGB", (3, 1), color) for color in ("red", "green", "blue")]


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("others", [0, 2])
def test_pictures_behind_the_first_are_known(form: str, others: int) -> None:
    more = {"save_all": True, "append_images": FRAMES[1:]} if others else {}
    found = decode(encoded(FRAMES[0], form, **more))
    assert found.has_more is (others > 0)
    assert pixels(found.image)[0, 0] > 200


def test_a_cameras_preview_behind_its_photograph_is_no_further_picture() -> None:
    assert not decode(encoded(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:])).has_more


def test_an_animation_whose_second_picture_is_cut_off_is_read_by_its_first() -> None:
    whole = encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:])
    first = encoded(FRAMES[0], "GIF")
    for length in range(len(first), len(whole)):
        assert pixels(decode(whole[:length]).image)[0, 0] > 200
