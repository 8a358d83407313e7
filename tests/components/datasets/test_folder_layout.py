"""Real folders: every file of one is used or accounted for."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from cmae_ablate.data.arrays import DataArrays
from tests.components.datasets.test_folder import fill, load, refusal, save, sizes


def given(tmp_path: Path) -> Path:
    """Two classes in three parts: 8, 2 and 2 images."""
    return fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1})


def left_out(data: DataArrays) -> dict[str, tuple[int, str]]:
    """Count and example by the first word of the reason."""
    assert data.account is not None
    used = len(data.train) + len(data.validation) + len(data.test)
    assert data.account.used == used
    assert data.account.found == used + sum(entry.count for entry in data.account.left_out)
    return {entry.reason: (entry.count, entry.example) for entry in data.account.left_out}


def only_reason(data: DataArrays) -> str:
    (reason,) = left_out(data)
    return reason


@pytest.mark.parametrize("names", [("Training", "Testing"), ("TRAIN", "Test"), ("train", "testing")])
def test_parts_are_recognised_however_they_are_spelled(tmp_path: Path, names: tuple[str, str]) -> None:
    data = load(fill(tmp_path / "data", {names[0]: 20, names[1]: 3}), tmp_path / "cache")
    assert (data.class_names, sizes(data)) == (("bird", "cat"), (36, 4, 6))


def test_dev_is_the_validation_part(tmp_path: Path) -> None:
    data = load(fill(tmp_path / "data", {"train": 4, "dev": 2, "test": 1}), tmp_path / "cache")
    assert sizes(data) == (8, 4, 2)


@pytest.mark.parametrize(
    "twice", [("train", "Train"), ("test", "testing"), ("val", "dev"), ("valid", "validation")]
)
def test_two_spellings_of_one_part_are_refused(tmp_path: Path, twice: tuple[str, str]) -> None:
    message = refusal(fill(tmp_path / "data", {"train": 4, **dict.fromkeys(twice, 2)}), tmp_path / "cache")
    assert f"{min(twice)}, {max(twice)}" in message and "merge" in message


@pytest.mark.parametrize("odd", ["eval", "test2", "seg_val", "unlabeled"])
def test_what_looks_like_another_part_is_refused_beside_the_parts(tmp_path: Path, odd: str) -> None:
    root = fill(tmp_path / "data", {"train": 4, "test": 1, odd: 1})
    assert f"{odd} beside train" in refusal(root, tmp_path / "cache")


@pytest.mark.parametrize(
    "names", [("seg_train", "seg_test"), ("Part_Train", "Part_Test"), ("fold1", "fold2")]
)
def test_parts_are_not_taken_for_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    message = refusal(fill(tmp_path / "data", dict.fromkeys(names, 4)), tmp_path / "cache")
    assert names[0] in message and "name parts train/, validation/ and test/" in message


def test_parts_that_hold_images_without_classes_are_not_taken_for_classes(tmp_path: Path) -> None:
    for part in ("Training", "Testing"):
        for number in range(9):
            save(tmp_path / "data" / part / f"{number}.png")
    assert "look(s) like part(s)" in refusal(tmp_path / "data", tmp_path / "cache")


def test_unlabelled_test_images_beside_classes_are_not_a_class(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {".": 9})
    save(root / "test" / "0.png")
    assert "test look(s) like part(s)" in refusal(root, tmp_path / "cache")


def test_a_train_among_other_vehicles_is_a_class_and_told(tmp_path: Path) -> None:
    data = load(fill(tmp_path / "data", {".": 10}, ("bus", "car", "train")), tmp_path / "cache")
    assert data.class_names == ("bus", "car", "train")
    assert "'train' is taken for a class" in " ".join(data.notices)


def test_parts_inside_classes_are_refused(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / "data" / name, {".": 4}, ("train", "test"))
    message = refusal(tmp_path / "data", tmp_path / "cache")
    assert "'cat' holds test" in message and "train/cat/<image>" in message


def test_the_wrong_level_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "data" / "train", {"seg_train": 5, "seg_test": 3})
    assert "look(s) like part(s)" in refusal(tmp_path / "data", tmp_path / "cache")


def test_a_part_whose_images_have_no_classes_is_told_and_not_used(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 20, "val": 2})
    for number in range(3):
        save(root / "test" / f"{number}.png")
        save(root / "test" / "images" / f"{number}.png")
    data = load(root, tmp_path / "cache")
    assert sizes(data) == (36, 4, 4)
    assert "3 image(s) in a folder of no class, such as test/images/0.png" in data.notices[0]
    assert "3 file(s) beside the class folders" in data.notices[0]


def test_images_behind_linked_parts_classes_and_sub_folders_are_read(tmp_path: Path) -> None:
    elsewhere = fill(tmp_path / "elsewhere", {"train": 4, "val": 1, "more": 3, "test": 2})
    root = tmp_path / "data"
    (root / "train" / "bird").mkdir(parents=True)
    (root / "val").symlink_to(elsewhere / "val")
    (root / "test").symlink_to(elsewhere / "test")
    (root / "train" / "cat").symlink_to(elsewhere / "train" / "cat")
    (root / "train" / "bird" / "more").symlink_to(elsewhere / "more" / "bird")
    (root / "train" / "bird" / "one.png").symlink_to(elsewhere / "train" / "bird" / "00.png")
    data = load(root, tmp_path / "cache")
    assert sizes(data) == (4 + 3 + 1, 2, 4)
    assert left_out(data) == {}


def test_dangling_links_circles_and_pipes_are_counted_and_never_waited_for(tmp_path: Path) -> None:
    root = given(tmp_path)
    (root / "train" / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (root / "train" / "cat" / "up").symlink_to(root / "train")
    (root / "train" / "cat" / "endless.png").symlink_to("/dev/zero")
    os.mkfifo(root / "train" / "cat" / "pipe.jpg")
    data = load(root, tmp_path / "cache")
    assert sizes(data) == (8, 2, 2)
    assert left_out(data) == {
        "link(s) that lead nowhere": (1, "train/cat/gone.png"),
        "link(s) to a folder above themselves": (1, "train/cat/up"),
        "pipe(s), devices or other things that are no files": (2, "train/cat/endless.png"),
    }
    assert all(word in data.notices[0] for word in ("gone.png", "endless.png", "cat/up"))


@pytest.mark.parametrize(
    "name", ["a.JPG", "a.jfif", "a.jpe", "a.JPEG", "a.Png", "a b.jpg", "ä.jpg", "a.b.jpg"]
)
def test_images_of_known_endings_are_used(tmp_path: Path, name: str) -> None:
    root = given(tmp_path)
    Image.new("RGB", (20, 20), (1, 2, 3)).save(root / "train" / "cat" / name, "JPEG")
    assert sizes(load(root, tmp_path / "cache")) == (9, 2, 2)


@pytest.mark.parametrize("name", ["a.jpeg_large", "a", "a.jpg.1", "a.jpg~", "a.jpg_large", "a.img"])
def test_images_of_unknown_endings_are_told(tmp_path: Path, name: str) -> None:
    root = given(tmp_path)
    Image.new("RGB", (20, 20)).save(root / "train" / "cat" / name, "JPEG")
    data = load(root, tmp_path / "cache")
    assert sizes(data) == (8, 2, 2)
    assert "1 image(s) whose names do not end as images' do" in data.notices[0]
    assert data.notices[0].endswith(f"such as train/cat/{name}")


@pytest.mark.parametrize("name", ["a.heic", "a.AVIF", "a.svg", "a.dng"])
def test_images_of_other_formats_are_told(tmp_path: Path, name: str) -> None:
    root = given(tmp_path)
    (root / "train" / "cat" / name).write_bytes(b"something")
    data = load(root, tmp_path / "cache")
    assert "1 image(s) of formats that are not read (save them as PNG or JPEG)" in data.notices[0]
    assert data.notices[0].endswith(f"such as train/cat/{name}")


def test_a_data_set_of_images_without_endings_says_to_rename_them(tmp_path: Path) -> None:
    root = given(tmp_path)
    for path in root.rglob("*.png"):
        path.rename(path.with_suffix(""))
    assert "12 image(s) whose names do not end" in refusal(root, tmp_path / "cache")


@pytest.mark.parametrize(
    "path",
    [
        *("train/cat/Thumbs.db", "train/.DS_Store", "desktop.ini", "__MACOSX/train/cat/._00.png"),
        *("train/cat/@eaDir/00.png/SYNOPHOTO_THUMB_M.jpg", "train/cat/.thumbnails/00.png"),
        *(
            "train/cat/.ipynb_checkpoints/00-checkpoint.png",
            "train/cat/deep/er/.git/x.png",
            "train/cat/._00.png",
        ),
        *("@eaDir/train/x.png", "train/@eaDir/cat/x.png", "train/__pycache__/x.png"),
    ],
)
def test_files_of_tools_are_no_images_at_any_depth_and_no_notice(tmp_path: Path, path: str) -> None:
    root = given(tmp_path)
    save(tmp_path / "x.png")
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(tmp_path / "x.png", root / path)
    data = load(root, tmp_path / "cache")
    assert (sizes(data), data.class_names, data.notices) == ((8, 2, 2), ("bird", "cat"), ())
    assert left_out(data) == {"hidden file(s), or files of a system or tool": (1, path)}


@pytest.mark.parametrize(
    "path", ["train/.dog/0.png", ".old/train/cat/0.png", "train/cat/.0.png", "train/cat/.x/0.png"]
)
def test_hidden_images_are_left_out_and_told(tmp_path: Path, path: str) -> None:
    root = given(tmp_path)
    save(root / path)
    data = load(root, tmp_path / "cache")
    assert (sizes(data), data.class_names) == ((8, 2, 2), ("bird", "cat"))
    assert (
        f"1 hidden image(s), by a leading dot in the name or a folder's name, such as {path}"
        in data.notices[0]
    )


@pytest.mark.parametrize("folder", ["thumbnails", "Thumbs", "cache"])
def test_thumbnails_inside_a_class_are_left_out_and_told(tmp_path: Path, folder: str) -> None:
    root = given(tmp_path)
    save(root / "train" / "cat" / folder / "0.png")
    data = load(root, tmp_path / "cache")
    assert sizes(data) == (8, 2, 2)
    assert f"train/cat/{folder}/0.png" in data.notices[0]


def test_loose_files_and_folders_beside_the_parts_are_told(tmp_path: Path) -> None:
    root = given(tmp_path)
    save(root / "0.png")
    save(root / "train" / "1.png")
    save(root / "extra" / "cat" / "2.png")
    (root / "train" / "cat" / "labels.csv").write_text("a,b")
    data = load(root, tmp_path / "cache")
    assert left_out(data) == {
        "file(s) beside the class folders, in none of them": (2, "0.png"),
        "file(s) in folders beside the parts": (1, "extra/cat/2.png"),
        "file(s) in class folders that are no images": (1, "train/cat/labels.csv"),
    }
    assert data.notices[0].startswith("left out ")


def test_names_that_are_not_utf8_are_read_and_shown_as_escapes(tmp_path: Path) -> None:
    root = given(tmp_path)
    place = os.fsencode(root / "train") + b"/caf\xe9"
    try:
        os.mkdir(place)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    for part in (b"train", b"val", b"test"):
        folder = os.fsencode(root) + b"/" + part + b"/caf\xe9"
        os.makedirs(folder, exist_ok=True)
        for number in range(2):
            save(tmp_path / "x.png")
            shutil.copy(os.fsencode(tmp_path / "x.png"), folder + b"/\xff%d.png" % number)
    shutil.copy(os.fsencode(tmp_path / "x.png"), place + b"/\xfe.heic")
    data = load(root, tmp_path / "cache")
    assert data.class_names == ("bird", r"caf\xe9", "cat")
    assert r"train/caf\xe9/\xfe.heic" in data.notices[0]
    "".join((*data.class_names, *data.notices)).encode("utf-8")
    assert load(root, tmp_path / "cache").digest == data.digest


@pytest.mark.parametrize("name", ["🐈", "a\nb", " cat", "cat ", "1.10", "-x", "[b]x", "null"])
def test_odd_class_names_are_classes(tmp_path: Path, name: str) -> None:
    root = fill(tmp_path / "data", {"train": 4, "val": 1, "test": 1}, ("bird", name))
    data = load(root, tmp_path / "cache")
    assert set(data.class_names) == {"bird", name.replace("\n", "\\n")}


def test_classes_that_differ_in_case_or_blanks_only_are_told(tmp_path: Path) -> None:
    data = load(fill(tmp_path / "data", {"train": 20}, ("cat", "cat ", "Dog", "dog")), tmp_path / "cache")
    assert data.num_classes == 4
    told = " ".join(data.notices)
    assert "cat and 'cat '" in told and "Dog and dog" in told


COMPOSED, APART = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def test_classes_equal_but_for_unicode_form_are_refused_by_code_points(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 9}, (COMPOSED, APART, "tea"))
    message = refusal(root, tmp_path / "cache")
    assert "Unicode form only" in message and "U+00E9" in message and "U+0301" in message
    assert "merge the folders" in message


def test_a_part_written_in_another_unicode_form_is_of_the_same_classes(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", {"train": 9, "val": 1}, (COMPOSED, "tea"))
    fill(root, {"test": 2}, (APART, "tea"))
    data = load(root, tmp_path / "cache")
    assert (data.class_names, sizes(data)) == ((COMPOSED, "tea"), (18, 2, 4))


def test_a_class_that_a_later_part_lacks_is_told(tmp_path: Path) -> None:
    root = given(tmp_path)
    shutil.rmtree(root / "test" / "cat")
    assert "test has no images of 1 of 2 classes: cat" in " ".join(load(root, tmp_path / "cache").notices)


def test_damaged_images_left_out_stand_in_the_account(tmp_path: Path) -> None:
    root = given(tmp_path)
    (root / "train" / "cat" / "01.png").write_bytes(b"broken")
    data = load(root, tmp_path / "cache", skip_damaged=True)
    assert left_out(data) == {"damaged image(s)": (1, "train/cat/01.png")}


def test_an_unreadable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = given(tmp_path)
    closed = str(root / "train" / "cat")
    opened = os.scandir

    def scandir(path: str) -> object:
        if str(path) == closed:
            raise PermissionError(13, "Permission denied", path)
        return opened(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert f"{closed} cannot be read (Permission denied)" in refusal(root, tmp_path / "cache")


def test_transparent_images_are_laid_on_white_and_told(tmp_path: Path) -> None:
    root = given(tmp_path)
    drawing = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    drawing.paste((0, 0, 0, 255), (4, 4, 12, 12))
    drawing.save(root / "test" / "cat" / "00.png")
    Image.new("RGBA", (16, 16), (255, 255, 255, 0)).save(root / "test" / "bird" / "00.png")
    data = load(root, tmp_path / "cache")
    image = data.test.images[data.test.labels == 1][0]
    assert (image[:, 0] == 255).all() and (image[:, 8, 8] == 0).all()
    assert (
        data.notices[0]
        == "2 image(s) are transparent in places and are shown on white, such as test/bird/00.png"
    )
    assert "1 of these are white everywhere, such as test/bird/00.png" in data.notices[1]


def test_an_animation_is_told_of_with_what_is_taken(tmp_path: Path) -> None:
    root = given(tmp_path)
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "green")]
    frames[0].save(root / "train" / "cat" / "moving.gif", save_all=True, append_images=frames[1:])
    (notice,) = load(root, tmp_path / "cache").notices
    assert notice == (
        "1 file(s) hold several pictures, as animations do, and the first alone is taken, such as "
        "train/cat/moving.gif; save each that counts as a file of its own"
    )


def test_a_picture_in_two_classes_of_one_part_is_told_of_by_both_its_names(tmp_path: Path) -> None:
    root = given(tmp_path)
    shutil.copy(root / "train" / "bird" / "02.png", root / "train" / "cat" / "seen.png")
    (notice,) = load(root, tmp_path / "cache").notices
    assert notice == (
        "1 picture(s) stand in several classes, such as train/bird/02.png and train/cat/seen.png: whichever "
        "label is learnt, another counts as wrong; keep each in one class"
    )


def test_a_postscript_named_as_a_photograph_is_refused(tmp_path: Path) -> None:
    root = given(tmp_path)
    (root / "train" / "cat" / "00.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    assert "train/cat/00.jpg: no image, or of an unknown format" in refusal(root, tmp_path / "cache")
