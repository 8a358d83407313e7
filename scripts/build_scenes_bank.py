"""Rebuild the picture bank of the `scenes` data set from three npm packages. For maintainers.

    npm pack @pmndrs/assets@1.7.0 emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0
    pip install OpenEXR==3.5.3
    python scripts/build_scenes_bank.py FOLDER_WITH_TARBALLS [BANK_FOLDER]

Writes `panoramas/*.jpg`, `sprites.png` (one atlas) and `sprites.json` (its index). A changed bank changes
every image of `scenes`: raise the data set's version.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import re
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import OpenEXR  # type: ignore[import-not-found]  # not needed to use the package, so not installed with it
from numpy.typing import NDArray
from PIL import Image

PACKAGES = {
    "pmndrs": (
        "pmndrs-assets-1.7.0.tgz",
        "zHmKNS+3Jvu9K3zJBQfYQKT9Pn9IQt8s0q/eJC3CXKpWpyg6IBa+ivN9NgDn+fDT2AVjUh2YRZ//GXUueuAdCg==",
    ),
    "google": (
        "emoji-datasource-google-16.0.0.tgz",
        "ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
    ),
    "twitter": (
        "emoji-datasource-twitter-16.0.0.tgz",
        "7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBbuL2eyELQ==",
    ),
}
"""Tarball and its SHA-512 as the npm registry states it."""

GROUPS = {
    "mammal": {
        "cat": "cat2 cat black_cat",
        "dog": "dog2 dog poodle guide_dog",
        "elephant": "elephant mammoth",
        "horse": "racehorse horse",
    },
    "other animal": {
        "bird": "bird duck eagle parrot owl",
        "fish": "fish tropical_fish blowfish shark",
        "insect": "bee ladybug beetle ant",
        "reptile": "turtle crocodile lizard",
    },
    "fruit": {
        "apple": "apple green_apple",
        "banana": "banana",
        "grapes": "grapes",
        "strawberry": "strawberry",
    },
    "dish": {
        "hamburger": "hamburger",
        "pizza": "pizza",
        "cake": "cake birthday cupcake",
        "ice cream": "icecream ice_cream",
    },
    "vehicle": {
        "car": "car blue_car taxi police_car",
        "bicycle": "bike",
        "aeroplane": "airplane small_airplane",
        "ship": "boat ship motor_boat",
    },
    "plant": {
        "tree": "deciduous_tree evergreen_tree",
        "palm": "palm_tree",
        "cactus": "cactus",
        "flower": "tulip rose sunflower hibiscus",
    },
    "instrument": {
        "guitar": "guitar banjo",
        "violin": "violin",
        "horn": "trumpet saxophone",
        "drum": "drum_with_drumsticks long_drum",
    },
    "clothing": {
        "shoe": "athletic_shoe mans_shoe hiking_boot",
        "shirt": "shirt womans_clothes",
        "hat": "tophat billed_cap womans_hat",
        "trousers": "jeans shorts",
    },
}
"""Short names of emoji by class and group; each is taken from both vendors."""

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
ATLAS_COLUMNS = 12


def open_package(folder: Path, package: str) -> tarfile.TarFile:
    """Open one tarball after checking that it is the published one.

    Raises:
        SystemExit: It is missing or altered.
    """
    name, integrity = PACKAGES[package]
    path = folder / name
    if not path.is_file():
        raise SystemExit(f"{path} is missing; see the head of this script for the npm command")
    found = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if found != integrity:
        raise SystemExit(f"{path}: SHA-512 is {found}, the registry says {integrity}; download it again")
    return tarfile.open(path)


def read_member(archive: tarfile.TarFile, name: str) -> bytes:
    """The bytes of a member that must be there."""
    file = archive.extractfile(name)
    assert file is not None, f"{name} is not a file"
    return file.read()


def decode_panorama(module: bytes) -> NDArray[np.float32]:
    """Linear radiance (h, w, 3) from a JavaScript module that holds a base64 EXR."""
    match = re.search(rb"base64,([A-Za-z0-9+/=]+)", module)
    assert match, "the module holds no base64 data"
    with tempfile.NamedTemporaryFile(suffix=".exr") as file:
        file.write(base64.b64decode(match[1]))
        file.flush()
        with OpenEXR.File(file.name) as image:
            return np.asarray(image.channels()["RGB"].pixels, np.float32)


def repair_ringing(radiance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace the black dots that lossy EXR compression leaves around lamps and the sun.

    A dot is a pixel with a channel at or below zero, one beside strongly negative light (the sun's own
    pixels), or one near a light and far darker than its surroundings.
    It takes the median of the sound pixels in its 5x5 neighbourhood; larger holes close from the rim.
    """
    light = radiance @ LUMINANCE
    surroundings = np.median(_neighbourhoods(light, 5), axis=0)
    beside_light = (_neighbourhoods(light, 17) > 8 * np.maximum(surroundings, 1e-3)).any(axis=0)
    undershot = (_neighbourhoods(light, 5) < -1).any(axis=0)
    dots = (radiance <= 0).any(axis=-1) | undershot | (beside_light & (light < 0.4 * surroundings))
    repaired = np.where(dots[..., None], np.nan, radiance)
    while (holes := np.isnan(repaired[..., 0])).any():
        around = _neighbourhoods(repaired, 5)[:, holes]
        sound = ~np.isnan(around[..., 0]).all(axis=0)
        rows, columns = (index[sound] for index in np.nonzero(holes))
        repaired[rows, columns] = np.nanmedian(around[:, sound], axis=0)
    return repaired


def _neighbourhoods(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """All shifts of an image within a size x size window, (size * size, h, w, ...); columns wrap around."""
    reach = size // 2
    rows = np.pad(image, ((reach, reach),) + ((0, 0),) * (image.ndim - 1), mode="edge")
    height = len(image)
    return np.stack(
        [
            np.roll(rows[down : down + height], right, axis=1)
            for down in range(size)
            for right in range(-reach, reach + 1)
        ]
    )


def tonemap(radiance: NDArray[np.float32]) -> Image.Image:
    """Expose for the median, compress highlights by luminance (Reinhard, white at 4), encode as sRGB."""
    exposure = np.clip(0.22 / np.median(radiance @ LUMINANCE), 0.3, 4)
    linear = radiance * exposure
    light = (linear @ LUMINANCE)[..., None]
    linear = np.clip(1.25 * linear * (1 + light / 16) / (1 + light), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return Image.fromarray((encoded * 255).round().astype(np.uint8))


def build_panoramas(packages: Path, bank: Path) -> None:
    """Write each panorama of the package as `panoramas/<name>.jpg`."""
    (bank / "panoramas").mkdir(parents=True, exist_ok=True)
    with open_package(packages, "pmndrs") as archive:
        for member in sorted(archive.getnames()):
            if match := re.fullmatch(r"package/hdri/(\w+)\.exr\.js", member):
                image = tonemap(repair_ringing(decode_panorama(read_member(archive, member))))
                image.save(bank / "panoramas" / f"{match[1]}.jpg", quality=90, optimize=True)


def read_sprites(packages: Path, vendor: str) -> dict[str, Image.Image]:
    """One vendor's sprites by short name, cropped to their visible part."""
    sprites = {}
    with open_package(packages, vendor) as archive:
        emoji = {
            entry["short_name"]: entry for entry in json.loads(read_member(archive, "package/emoji.json"))
        }
        for name in " ".join(names for group in GROUPS.values() for names in group.values()).split():
            file = f"package/img/{vendor}/64/{emoji[name]['image']}"
            sprite = Image.open(io.BytesIO(read_member(archive, file))).convert("RGBA")
            sprites[name] = sprite.crop(
                sprite.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox()
            )
    return sprites


def build_sprites(packages: Path, bank: Path) -> None:
    """Write the atlas `sprites.png` and its index: class, group, vendor and box of every sprite."""
    sprites = {vendor: read_sprites(packages, vendor) for vendor in ("google", "twitter")}
    cell = max(max(sprite.size) for found in sprites.values() for sprite in found.values())
    index: list[dict[str, object]] = []
    placed: list[tuple[Image.Image, tuple[int, int]]] = []
    for group, classes in GROUPS.items():
        for label, names in classes.items():
            for name in names.split():
                for vendor, found in sprites.items():
                    top, left = (cell * at for at in divmod(len(index), ATLAS_COLUMNS))
                    width, height = found[name].size
                    box = [left, top, left + width, top + height]
                    index.append(
                        {"class": label, "group": group, "emoji": name, "vendor": vendor, "box": box}
                    )
                    placed.append((found[name], (left, top)))
    rows = -(-len(index) // ATLAS_COLUMNS)
    atlas = Image.new("RGBA", (cell * ATLAS_COLUMNS, cell * rows))
    for image, corner in placed:
        atlas.paste(image, corner)
    atlas.save(bank / "sprites.png", optimize=True)
    lines = ",\n".join(json.dumps(entry) for entry in index)
    (bank / "sprites.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main() -> None:
    """Build both halves of the bank."""
    default = Path(__file__).parents[1] / "cmae_ablate" / "assets" / "scenes"
    parser = argparse.ArgumentParser(description="Rebuild the picture bank of the `scenes` data set.")
    parser.add_argument("packages", type=Path, help="folder with the three npm tarballs")
    parser.add_argument(
        "bank", type=Path, nargs="?", default=default, help="where to write (default: %(default)s)"
    )
    arguments = parser.parse_args()
    build_panoramas(arguments.packages, arguments.bank)
    build_sprites(arguments.packages, arguments.bank)


if __name__ == "__main__":
    main()
