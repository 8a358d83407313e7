"""What a folder of images holds: parts, classes and their files; and why the rest is left out."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cmae_ablate.components.datasets.file_tree import FolderTree
from cmae_ablate.components.datasets.folder_files import no_image_of_its_class
from cmae_ablate.components.datasets.folder_parts import looks_like_a_part, part_of
from cmae_ablate.components.datasets.tool_files import EXTENSIONS, TOOL
from cmae_ablate.data.account import Account, account_of
from cmae_ablate.errors import UserError, readable

REMEDY = (
    "name a folder that holds train/<class>/<image>, better also validation/ and test/ alike; "
    "cmae-ablate data prepare folder --source PATH"
)
LOOSE = "file(s) beside the class folders, in none of them"
BESIDE = "file(s) in folders beside the parts"
UNLABELLED = "image(s) in a folder of no class"

_NO_CLASS = {"image", "images", "img", "imgs", "unknown", "unlabeled", "unlabelled", "all", "data"}


@dataclass
class Listing:
    """What lies in a folder of images, before anything is decoded.

    Attributes:
        parts: Image paths by part and class folder, each sorted; a class is named as train names it.
        left_out: Path and reason of every other file.
        notices: What the user should know about the classes.
    """

    parts: dict[str, dict[str, list[str]]]
    left_out: list[tuple[str, str]]
    notices: list[str] = field(default_factory=list)

    def paths(self) -> list[str]:
        """All images."""
        return [path for classes in self.parts.values() for paths in classes.values() for path in paths]

    def account(self) -> Account:
        """How many files there are, and why some are not used."""
        return account_of(len(self.paths()), self.left_out, {TOOL})


def read_listing(tree: FolderTree, source: Path) -> Listing:
    """Sort every file of the folder into a class or out.

    Raises:
        UserError: There are no class folders; parts are spelled twice or cannot be told from classes.
    """
    children: dict[str, list[str]] = {}
    for folder in tree.folders:
        parent, _, name = folder.rpartition("/")
        children.setdefault(parent, []).append(name)
    folders = _part_folders(children, source)
    listing = Listing({}, list(tree.left_out))
    if folders["train"] == "":
        for name in _refused_if_parts("", children, source):
            listing.notices.append(f"'{readable(name)}' is taken for a class: it holds no class folders")
    for part, folder in folders.items():
        names = children.get(folder, [])
        if folder:
            _refused_if_parts(folder, children, source)
        _refuse_twins(names, source, readable(folder))
        listing.parts[part] = {name: [] for name in names}
    _sort_files(tree, folders, listing)
    _match_to_train(listing, source)
    # An empty validation/ or test/ says no more than none at all.
    listing.parts = {part: found for part, found in listing.parts.items() if found or part == "train"}
    return listing


def _part_folders(children: Mapping[str, Sequence[str]], source: Path) -> dict[str, str]:
    """The folder of each part that is there; `""`, the root itself, is train where it holds the classes."""
    top = children.get("", [])
    spelled: dict[str, list[str]] = {}
    for name in top:
        if (part := part_of(name)) is not None:
            spelled.setdefault(part, []).append(name)
    if not any(children.get(name) for names in spelled.values() for name in names):
        return {"train": ""}
    if "train" not in spelled:
        raise UserError(f"dataset.source: {source} has a part to test on but no train/; {REMEDY}")
    for part, names in spelled.items():
        if len(names) > 1:
            raise UserError(
                f"dataset.source: {source}: {_some(names)} are all names of the {part} part; "
                "merge them, or move all but one away"
            )
    odd = [name for name in top if part_of(name) is None and looks_like_a_part(name)]
    if odd:
        raise UserError(
            f"dataset.source: {source}: {_some(odd)} beside {_some(spelled['train'])} look(s) like a part, "
            "but which? rename to train, validation or test, or move away"
        )
    return {part: spelled[part][0] for part in ("train", "validation", "test") if part in spelled}


def _refused_if_parts(folder: str, children: Mapping[str, Sequence[str]], source: Path) -> list[str]:
    """Classes whose names are a part's too and that may yet be classes: a `train` among other vehicles.

    Raises:
        UserError: What should be classes looks like parts.
    """
    names = children.get(folder, [])
    where = f"{source}/{readable(folder)}" if folder else str(source)
    odd = [name for name in names if looks_like_a_part(name)]
    vehicle = len(odd) == 1 and len(names) > 2 and part_of(odd[0]) == "train"
    path = f"{folder}/{odd[0]}" if folder and odd else "".join(odd[:1])
    if odd and not (vehicle and not children.get(path)):
        raise UserError(
            f"dataset.source: {where}: {_some(odd)} look(s) like part(s) of a data set, not like class(es); "
            "name parts train/, validation/ and test/, each with a folder per class; "
            "or rename what is a class after all, such as to "
            f"'{readable(odd[0])} class'"
        )
    for name in names:
        below = children.get(f"{folder}/{name}" if folder else name, [])
        inner = [one for one in below if looks_like_a_part(one) and part_of(one) != "train"]
        if inner:
            raise UserError(
                f"dataset.source: {where}: '{readable(name)}' holds {_some(inner)}, part(s) by their names; "
                f"parts come first, as in train/{readable(name)}/<image>, "
                f"or, if '{readable(name)}' is a data set, name it as the source"
            )
    return odd


def _sort_files(tree: FolderTree, folders: Mapping[str, str], listing: Listing) -> None:
    parts = {folder: part for part, folder in folders.items()}
    for path in tree.files:
        top, _, rest = path.partition("/")
        part = parts.get("") or parts.get(top)
        inside = path if "" in parts else rest
        name, _, below = inside.partition("/")
        if part is None:
            listing.left_out.append((path, BESIDE if rest else LOOSE))
        elif not below:
            listing.left_out.append((path, LOOSE))
        elif reason := no_image_of_its_class(tree, path, below):
            listing.left_out.append((path, reason))
        else:
            listing.parts[part][name].append(path)


def _match_to_train(listing: Listing, source: Path) -> None:
    """Name the classes of later parts as train does, where only the Unicode form differs; tell of gaps."""
    train = listing.parts["train"]
    named = {_composed(name): name for name in train}
    for part, classes in listing.parts.items():
        if part == "train":
            continue
        found = {named.get(_composed(name), name): paths for name, paths in classes.items()}
        for name in [one for one in found if one not in train and one.lower() in _NO_CLASS]:
            # As in Tiny-ImageNet's test/images: nobody says which classes these are of.
            listing.left_out += [(path, UNLABELLED) for path in found.pop(name)]
        missing = sorted(set(train) - set(found))
        if found and missing:
            listing.notices.append(
                f"'{readable(source.name)}': {part} has no images of {len(missing)} of {len(train)} classes: "
                f"{_some(missing)}"
            )
        listing.parts[part] = found
    alike: dict[str, list[str]] = {}
    for name in train:
        folded = unicodedata.normalize("NFKC", name).casefold().strip()
        alike.setdefault(folded, []).append(name)
    for names in alike.values():
        if len(names) > 1:
            listing.notices.append(
                f"'{readable(source.name)}': {' and '.join(_quoted(name) for name in names)} are taken for "
                f"{len(names)} classes, though their names differ in case or blanks only"
            )


def _refuse_twins(names: Sequence[str], source: Path, folder: str) -> None:
    composed: dict[str, str] = {}
    for name in names:
        twin = composed.setdefault(_composed(name), name)
        if twin != name:
            spelled = " and ".join(_code_points(one) for one in (twin, name))
            raise UserError(
                f"dataset.source: {source}{'/' if folder else ''}{folder}: two classes are called "
                f"'{readable(name)}' and differ in Unicode form only ({spelled}); merge the folders"
            )


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _code_points(name: str) -> str:
    return " ".join(one if one.isascii() else f"U+{ord(one):04X}" for one in name)


def check_classes(source: Path, listing: Listing) -> tuple[str, ...]:
    """The class folders, sorted.

    Raises:
        UserError: Fewer than two classes, a class without images, or classes that only a later part has.
    """
    train = listing.parts["train"]
    if not any(train.values()):
        others = listing.account().notice()
        raise UserError(
            f"dataset.source: no images ({', '.join(EXTENSIONS)}) in class folders of {source}"
            f"{f' ({others})' if others else ''}; {REMEDY}"
        )
    if len(train) < 2:
        raise UserError(
            f"dataset.source: {source} has only the class '{readable(next(iter(train)))}'; {REMEDY}"
        )
    for part, classes in listing.parts.items():
        empty = [name for name, paths in classes.items() if not paths]
        if empty:
            raise UserError(
                f"dataset.source: {source}: {len(empty)} class(es) of {part} hold no images: {_some(empty)}; "
                f"add images ({', '.join(EXTENSIONS)}) or delete the folder(s)"
            )
        unknown = sorted(set(classes) - set(train))
        if unknown:
            raise UserError(
                f"dataset.source: {source}: {part} has class(es) that train lacks: {_some(unknown)}; "
                "rename or delete the folder(s), or add training images"
            )
    return tuple(sorted(train))


def _some(names: Sequence[str]) -> str:
    return ", ".join(_quoted(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")


def _quoted(name: str) -> str:
    """As it is, but in quotes where blanks at its ends would not be seen."""
    return readable(name) if name == name.strip() else f"'{readable(name)}'"
