"""Which folders are parts of a data set, by their names."""

from __future__ import annotations

import re
import unicodedata

_PARTS = {
    "train": {"train", "training", "trainset", "trainingset"},
    "validation": {"validation", "val", "valid", "dev", "validationset", "valset", "validset", "devset"},
    "test": {"test", "testing", "testset", "testingset"},
}
_PART_WORDS = {
    *(name for names in _PARTS.values() for name in names),
    *("trn", "tst", "validate", "eval", "evaluation", "evalset", "holdout", "heldout"),
    *("traindata", "trainval", "testdata", "valdata", "fold", "split", "unlabeled", "unlabelled"),
}
_FILLERS = {
    *(
        "set",
        "sets",
        "part",
        "data",
        "dataset",
        "images",
        "image",
        "imgs",
        "img",
        "pics",
        "photos",
        "jpg",
        "png",
    ),
    *(
        "seg",
        "official",
        "new",
        "old",
        "full",
        "all",
        "final",
        "v",
        "ver",
        "version",
        "small",
        "mini",
        "sample",
    ),
    *(
        "public",
        "private",
        "resized",
        "cropped",
        "augmented",
        "aug",
        "original",
        "orig",
        "raw",
        "clean",
        "copy",
    ),
    *("a", "b", "x", "y", "hr", "lr"),
}


def part_of(name: str) -> str | None:
    """`train`, `validation` or `test` for a folder called so, in any case and usual spelling; else None."""
    plain = re.sub(r"[\s_\-.]", "", unicodedata.normalize("NFKC", name)).casefold()
    return next((part for part, names in _PARTS.items() if plain in names), None)


def looks_like_a_part(name: str) -> bool:
    """Whether a folder's name sounds like a part rather than a class: `Test2`, `seg_train`, `eval`, `fold_1`.

    All its words must: a `test tube` or a `bullet train` is a class.
    """
    words = re.findall(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+", unicodedata.normalize("NFKC", name))
    found = {word.casefold() for word in words}
    return part_of(name) is not None or (bool(found & _PART_WORDS) and found <= _PART_WORDS | _FILLERS)
