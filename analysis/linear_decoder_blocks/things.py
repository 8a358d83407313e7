"""Thirty classes of things of a cut-down Tiny-ImageNet, as a folder of classes: a data set of its own.

Run:   python -m analysis.linear_decoder_blocks.things ZIP FOLDER
In the order of their WordNet ids that archive's first thirty classes are animals, the next thirty things (in
the whole archive they are others). Images are copied as they are; the official validation images are the
test part, as `tiny_imagenet` has it.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path, PurePosixPath

FIRST, LAST = 30, 60
ROOT = "tiny-imagenet-200"


def destinations(archive: zipfile.ZipFile) -> dict[str, PurePosixPath]:
    """Where each image of the classes goes, by its name in the archive."""
    wanted = sorted(archive.read(f"{ROOT}/wnids.txt").decode().split())[FIRST:LAST]
    lines = archive.read(f"{ROOT}/val/val_annotations.txt").decode().splitlines()
    of_test = {name: wnid for name, wnid, *_ in (line.split("\t") for line in lines)}
    found = {}
    for entry in archive.namelist():
        path = PurePosixPath(entry)
        if path.suffix != ".JPEG":
            continue
        part = path.parts[1]
        wnid = path.parts[2] if part == "train" else of_test.get(path.name, "")
        if wnid in wanted and part in ("train", "val"):
            found[entry] = PurePosixPath("train" if part == "train" else "test", wnid, path.name)
    return found


def main(source: str, folder: str) -> None:
    """Copy the images."""
    with zipfile.ZipFile(source) as archive:
        for entry, place in destinations(archive).items():
            target = Path(folder) / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))


if __name__ == "__main__":
    main(*sys.argv[1:])
