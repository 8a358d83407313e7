"""What a copy of Tiny-ImageNet holds: classes, images and boxes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cmae_ablate.components.datasets.file_tree import READ_ERRORS, FileTree, find, read_required
from cmae_ablate.components.datasets.image_files import Box, LabelledFile
from cmae_ablate.components.datasets.sources import NOT_READ, Origin
from cmae_ablate.components.datasets.tool_files import TOOL, has_image_name
from cmae_ablate.data.account import Account, account_of
from cmae_ablate.errors import UserError, readable

ORIGIN = Origin(
    name="tiny_imagenet",
    url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    md5="90528d7ca1a48142e341f4ef8d21d0de",
    size="237 MB",
    page="https://www.kaggle.com/c/tiny-imagenet",
)
IMAGE_SIZE = 64
UNLABELLED = "official test image(s), which have no published labels"
OTHER_CLASSES = "image(s) of listed classes that are not taken"
UNLISTED_CLASSES = "training image(s) of classes that wnids.txt does not list"
UNLISTED = "image(s) of val/images that val_annotations.txt does not list"
NO_IMAGE = "file(s) among the images that are none"
MISPLACED = "image(s) outside the official layout"
_TEXT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Layout:
    """What a copy of Tiny-ImageNet holds.

    Attributes:
        class_names: What label i means.
        train: The official training images.
        test: The official validation images.
        read: Paths of all files that matter, images and lists.
        account: Of all files.
        notices: What the user should know.
    """

    class_names: tuple[str, ...]
    train: list[LabelledFile]
    test: list[LabelledFile]
    read: tuple[str, ...]
    account: Account
    notices: tuple[str, ...]


def read_layout(tree: FileTree, source: Path, limit: int | None) -> Layout:
    """Find classes, images and boxes; of the first `limit` classes, where that is given.

    Raises:
        UserError: The copy lacks something that the official layout has.
    """
    remedy = _remedy(tree)
    wnids_text = text_of(read_required(tree, "wnids.txt", source, remedy, _TEXT_BYTES))
    wnids_path = find(tree, "wnids.txt")
    assert wnids_path is not None
    root = wnids_path.removesuffix("wnids.txt")
    listed = dict.fromkeys(wnids_text.split())
    images = _training_images(tree, f"{root}train/", listed)
    notices = []
    empty = [wnid for wnid, paths in images.items() if not paths]
    if empty:
        notices.append(
            f"{readable(str(source))}: {len(empty)} of {len(listed)} classes in wnids.txt have no training "
            f"images and are left out: {', '.join(empty[:3])}{', ...' if len(empty) > 3 else ''}"
        )
    wnids = [wnid for wnid in images if wnid not in empty][:limit]
    if len(wnids) < 2:
        raise UserError(f"dataset.source: {source} has training images of fewer than two classes; {remedy}")
    names = _class_names(text_of(read_required(tree, "words.txt", source, remedy, _TEXT_BYTES)), wnids)
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    present = frozenset(tree.files)
    tables = {wnid: path for wnid in wnids if (path := f"{root}train/{wnid}/{wnid}_boxes.txt") in present}
    train = [
        LabelledFile(path, labels[wnid], boxes.get(path.rsplit("/", 1)[-1]))
        for wnid in wnids
        for boxes in (_boxes(tree, tables.get(wnid), source),)
        for path in images[wnid]
    ]
    annotations = text_of(read_required(tree, "val_annotations.txt", source, remedy, _TEXT_BYTES))
    test = _test_files(tree, f"{root}val/images/", annotations, labels, source)
    lists = [find(tree, name) for name in ("wnids.txt", "words.txt", "val_annotations.txt")]
    read = {*(path for path in lists if path), *tables.values(), *(file.path for file in (*train, *test))}
    return Layout(
        names, train, test, tuple(read), _account(tree, root, read, listed, annotations), tuple(notices)
    )


def text_of(contents: bytes) -> str:
    r"""The text of a list as editors of any system leave it: UTF-8 or UTF-16 with a mark, else Latin-1.

    Lines end in `\n`.
    """
    if contents.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = contents.decode("utf-16", "replace")
    else:
        try:
            text = contents.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = contents.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def rows_of(text: str) -> Iterator[list[str]]:
    """The fields of each line that has any, parted by tabs or blanks."""
    return (fields for line in text.split("\n") if (fields := line.split()))


def _remedy(tree: FileTree) -> str:
    """What to do with another layout; a frequent one, validation images in class folders, has a reader."""
    remedy = "this is not Tiny-ImageNet's official layout; "
    if any(re.search(r"(^|/)val(idation)?/n\d+/", path) for path in tree.files):
        remedy += (
            "its validation images lie in class folders: read it with dataset.name=folder, "
            "dataset.source=(the extracted folder) and dataset.image_size=64, or "
        )
    return remedy + ORIGIN.remedy()


def _training_images(tree: FileTree, folder: str, listed: Mapping[str, None]) -> dict[str, list[str]]:
    images: dict[str, list[str]] = {wnid: [] for wnid in sorted(listed)}
    for path in tree.files:
        wnid, _, rest = path.removeprefix(folder).partition("/")
        in_place = path.startswith(folder) and rest.startswith("images/") and rest.count("/") == 1
        if in_place and wnid in images and has_image_name(path):
            images[wnid].append(path)
    return images


def _class_names(words: str, wnids: list[str]) -> tuple[str, ...]:
    """The first word for each class; where two classes share it, the WordNet id tells them apart."""
    lines = (line.strip().split(None, 1) for line in words.split("\n"))
    meanings = {fields[0]: fields[1] for fields in lines if len(fields) == 2}
    names = [meanings.get(wnid, wnid).split(",")[0].strip() for wnid in wnids]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({wnid})"
        for name, wnid in zip(names, wnids, strict=True)
    )


def _boxes(tree: FileTree, table: str | None, source: Path) -> dict[str, Box | None]:
    if table is None:
        return {}
    try:
        text = text_of(tree.read(table, _TEXT_BYTES))
    except READ_ERRORS as error:
        raise UserError(
            f"dataset.source: {table} in {source} is damaged ({error}); {ORIGIN.remedy()}"
        ) from error
    return {name: _box(corners) for name, *corners in rows_of(text)}


def _test_files(
    tree: FileTree, folder: str, annotations: str, labels: Mapping[str, int], source: Path
) -> list[LabelledFile]:
    present = frozenset(tree.files)
    files: dict[str, LabelledFile] = {}
    missing: list[str] = []
    for number, fields in enumerate(rows_of(annotations), 1):
        if len(fields) < 2:
            raise UserError(
                f"dataset.source: val_annotations.txt in {source}: entry {number}, '{fields[0][:40]}', names "
                f"no class; {ORIGIN.remedy()}"
            )
        name, wnid, *corners = fields
        path = f"{folder}{name}"
        if wnid not in labels:
            continue
        if path not in present:
            missing.append(path)
        elif path in files and files[path].label != labels[wnid]:
            raise UserError(
                f"dataset.source: val_annotations.txt in {source} gives {name} two classes; {ORIGIN.remedy()}"
            )
        else:
            files.setdefault(path, LabelledFile(path, labels[wnid], _box(corners)))
    if missing or not files:
        example = f", such as {missing[0]}" if missing else ""
        raise UserError(
            f"dataset.source: {source} lacks {len(missing) or 'all'} of the official validation images"
            f"{example}; {ORIGIN.remedy()}"
        )
    return list(files.values())


def _box(corners: list[str]) -> Box | None:
    """Left, top, right, bottom in whole pixels, the last ones included, to fractions of the image."""
    try:
        left, top, right, bottom = (int(corner) for corner in corners)
    except ValueError:
        return None
    if not (0 <= left <= right < IMAGE_SIZE and 0 <= top <= bottom < IMAGE_SIZE):
        return None
    return top / IMAGE_SIZE, left / IMAGE_SIZE, (bottom + 1) / IMAGE_SIZE, (right + 1) / IMAGE_SIZE


def _account(
    tree: FileTree, root: str, read: set[str], wnids: Mapping[str, None], annotations: str
) -> Account:
    listed = {*wnids, *(fields[0] for fields in rows_of(annotations))}
    left_out = list(tree.left_out)
    for path in tree.files:
        if path not in read:
            left_out.append((path, _reason(path, root, listed)))
    return account_of(len(read), left_out, {TOOL, UNLABELLED, OTHER_CLASSES, NOT_READ})


def _reason(path: str, root: str, listed: set[str]) -> str:
    """Why a file is not read; `listed` are the classes and validation images of the lists."""
    inside = path.removeprefix(root)
    train = re.fullmatch(r"train/([^/]+)/images/[^/]+", inside)
    validation = re.fullmatch(r"val/images/([^/]+)", inside)
    if not has_image_name(path):
        return NO_IMAGE if train or validation else NOT_READ
    if inside.startswith("test/"):
        return UNLABELLED
    if train:
        return OTHER_CLASSES if train[1] in listed else UNLISTED_CLASSES
    if validation:
        return OTHER_CLASSES if validation[1] in listed else UNLISTED
    return MISPLACED
