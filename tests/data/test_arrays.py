from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest

from cmae_ablate.data.arrays import ArrayWriter, Progress, cache_root, prepare
from cmae_ablate.data.writer import digest_of
from cmae_ablate.errors import NoRoomError, UserError
from cmae_ablate.files import SEAL

COUNTS = {"train": 6, "validation": 2, "test": 3}


class Noise:
    """A data set of random images that counts how often it is written."""

    def __init__(self, key: str = "noise", seed: int = 0) -> None:
        self.key = key
        self.seed = seed
        self.writes = 0

    def cache_key(self) -> str:
        return self.key

    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        self.writes += 1
        rng = np.random.default_rng(self.seed)
        writer.describe("noise", ["even", "odd"], 8)
        for split, count in COUNTS.items():
            rows = writer.allocate(split, count)
            rows.images[:] = rng.integers(0, 256, rows.images.shape)
            rows.labels[:] = np.arange(count) % 2
            progress("writing noise", count, count)
        rows.boxes[0] = (0.1, 0.2, 0.3, 0.4)
        writer.notice("these data are noise")


class Failing(Noise):
    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        super().write(writer, progress)
        raise UserError("the source is damaged")


class Unlabelled(Noise):
    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        writer.describe("unlabelled", ["only"], 8)
        for split in COUNTS:
            writer.allocate(split, 1)


def ignore(message: str) -> None:
    """A notice that nobody reads."""


def folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_dir())


def test_what_was_written_is_what_is_opened(tmp_path: Path) -> None:
    data = prepare(Noise(), tmp_path, notice=ignore)
    expected = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8))
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 2, 3)
    assert (data.image_size, data.num_classes, data.class_names) == (8, 2, ("even", "odd"))
    np.testing.assert_array_equal(data.train.images, expected)
    np.testing.assert_allclose(data.test.boxes[0], (0.1, 0.2, 0.3, 0.4), rtol=1e-6)


def test_boxes_are_unknown_until_they_are_written(tmp_path: Path) -> None:
    data = prepare(Noise(), tmp_path, notice=ignore)
    assert np.isnan(data.train.boxes).all()


class Grouped(Noise):
    """Noise of which images 0 and 1 share a source, 2 and 3 the next, and so on."""

    def write(self, writer: ArrayWriter, progress: Progress) -> None:
        rng = np.random.default_rng(self.seed)
        writer.describe("noise", ["even", "odd"], 8)
        for split, count in COUNTS.items():
            rows = writer.allocate(split, count, grouped=True)
            rows.images[:] = rng.integers(0, 256, rows.images.shape)
            rows.labels[:] = np.arange(count) % 2
            assert rows.groups is not None
            rows.groups[:] = np.arange(count) // 2
        rows.boxes[0] = (0.1, 0.2, 0.3, 0.4)


def test_groups_that_were_written_are_opened(tmp_path: Path) -> None:
    groups = prepare(Grouped("grouped"), tmp_path, notice=ignore).train.groups
    assert groups is not None
    assert (groups.dtype, groups.tolist()) == (np.int32, [0, 0, 1, 1, 2, 2])


def test_data_without_groups_have_none_and_keep_their_digest(tmp_path: Path) -> None:
    plain = prepare(Noise(), tmp_path, notice=ignore)
    assert plain.train.groups is None
    # Read off data that were prepared before there were groups.
    assert plain.digest.startswith("cc165c71fd32ade0")


def test_the_digest_changes_with_the_groups(tmp_path: Path) -> None:
    plain, grouped = (prepare(data, tmp_path, notice=ignore) for data in (Noise(), Grouped("grouped")))
    np.testing.assert_array_equal(plain.test.boxes, grouped.test.boxes)
    assert plain.digest != grouped.digest


def test_lost_groups_are_noticed_and_written_again(tmp_path: Path) -> None:
    prepare(Grouped("grouped"), tmp_path, notice=ignore)
    (tmp_path / "grouped" / "test.groups.npy").unlink()
    assert prepare(Grouped("grouped"), tmp_path, notice=ignore).test.groups is not None


def test_a_prepared_data_set_is_not_written_again(tmp_path: Path) -> None:
    dataset = Noise()
    first, second = (prepare(dataset, tmp_path, notice=ignore) for _ in range(2))
    assert (dataset.writes, first.digest) == (1, second.digest)


def test_statistics_are_those_of_the_training_pixels(tmp_path: Path) -> None:
    data = prepare(Noise(), tmp_path, notice=ignore)
    pixels = np.array(data.train.images, np.float64) / 255
    np.testing.assert_allclose(data.mean, pixels.mean((0, 2, 3)), atol=1e-12)
    np.testing.assert_allclose(data.std, pixels.std((0, 2, 3)), atol=1e-12)


def test_a_channel_that_never_varies_is_centred_and_not_divided_by_nothing(tmp_path: Path) -> None:
    class NoBlue(Noise):
        def write(self, writer: ArrayWriter, progress: Progress) -> None:
            writer.describe("noise", ["even", "odd"], 8)
            for split, count in COUNTS.items():
                rows = writer.allocate(split, count)
                rows.images[:] = np.random.default_rng(0).integers(0, 256, rows.images.shape)
                rows.images[:, 2] = 77
                rows.labels[:] = np.arange(count) % 2

    data = prepare(NoBlue("no blue"), tmp_path, notice=ignore)
    assert data.mean[2] == pytest.approx(77 / 255)
    assert data.std[2] == 1.0
    assert 0 < data.std[0] < 1


def test_the_digest_does_not_depend_on_where_data_lie(tmp_path: Path) -> None:
    here = prepare(Noise("here"), tmp_path / "a", notice=ignore)
    there = prepare(Noise("there"), tmp_path / "b", notice=ignore)
    assert here.digest == there.digest


def test_the_digest_changes_with_the_pixels(tmp_path: Path) -> None:
    digests = {prepare(Noise(str(seed), seed), tmp_path, notice=ignore).digest for seed in range(3)}
    assert len(digests) == 3


def test_writing_to_opened_images_does_not_reach_the_disk(tmp_path: Path) -> None:
    prepare(Noise(), tmp_path, notice=ignore).train.images[:] = 0
    assert prepare(Noise(), tmp_path, notice=ignore).train.images.any()


@pytest.mark.parametrize(("dataset", "error"), [(Failing(), UserError), (Unlabelled(), AssertionError)])
def test_a_failed_preparation_leaves_nothing_behind(
    tmp_path: Path, dataset: Noise, error: type[Exception]
) -> None:
    with pytest.raises(error):
        prepare(dataset, tmp_path, notice=ignore)
    assert folders(tmp_path) == []


def test_what_a_killed_preparation_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "noise.partial").mkdir()
    (tmp_path / "noise.partial" / "train.images.npy").write_bytes(b"half")
    data = prepare(Noise(), tmp_path, notice=ignore)
    assert (folders(tmp_path), len(data.train)) == (["noise"], 6)


def truncate_images(folder: Path) -> None:
    path = folder / "train.images.npy"
    path.write_bytes(path.read_bytes()[:-1])


def delete_labels(folder: Path) -> None:
    (folder / "test.labels.npy").unlink()


def break_meta(folder: Path) -> None:
    (folder / "meta.json").write_text("{")


def age_format(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"format": 0}))


def flip_a_pixel(folder: Path) -> None:
    path = folder / "train.images.npy"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=times)


def swap_two_labels(folder: Path) -> None:
    labels = np.load(folder / "test.labels.npy")
    np.save(folder / "test.labels.npy", np.roll(labels, 1))


def shift_the_mean(folder: Path) -> None:
    path = folder / "meta.json"
    meta = json.loads(path.read_text())
    path.write_text(json.dumps(meta | {"mean": [0.25, 0.25, 0.25]}))


def lose_the_mean(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({"format": meta["format"], "bytes": meta["bytes"]}))


def account_for_no_files(folder: Path) -> None:
    path = folder / "meta.json"
    left_out = {"reason": "hidden image(s)", "count": [1], "example": ".a.png", "told": True}
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"account": {"used": 6, "left_out": [left_out]}})
    )


def give_a_notice_that_is_no_text(folder: Path) -> None:
    path = folder / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"notices": [None]}))


def unseal(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """The change, in a folder as earlier versions left it, whose records had no digest of themselves."""

    def unsealed(folder: Path) -> None:
        change(folder)
        path = folder / "meta.json"
        meta = json.loads(path.read_text())
        del meta[SEAL]
        path.write_text(json.dumps(meta))

    return unsealed


def make_images_a_folder(folder: Path) -> None:
    (folder / "train.images.npy").unlink()
    (folder / "train.images.npy").mkdir()


DAMAGES = [truncate_images, delete_labels, break_meta, age_format, flip_a_pixel, swap_two_labels]
DAMAGES += [shift_the_mean, lose_the_mean, make_images_a_folder]
DAMAGES += [unseal(account_for_no_files), unseal(give_a_notice_that_is_no_text)]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_told_of_and_prepared_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    dataset, heard = Noise(), list[str]()
    before = prepare(dataset, tmp_path, notice=ignore)
    before_images = np.array(before.train.images)
    damage(tmp_path / "noise")
    after = prepare(dataset, tmp_path, notice=heard.append)
    assert (dataset.writes, after.digest) == (2, before.digest)
    assert str(tmp_path / "noise") in heard[0]
    assert "prepared again" in heard[0]
    assert (after.mean, after.std) == (before.mean, before.std)
    np.testing.assert_array_equal(after.train.images, before_images)
    assert (tmp_path / "noise.damaged-1").is_dir()


def test_a_command_reads_prepared_data_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(Noise(), tmp_path, notice=ignore)
    monkeypatch.delenv("CMAE_ABLATE_TRUSTED_DATA")  # another command
    read: list[str] = []

    def reading(*arguments: object) -> str:
        read.append("all")
        return digest_of(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("cmae_ablate.data.arrays.digest_of", reading)
    for _ in range(3):
        prepare(Noise(), tmp_path, notice=ignore)
    assert read == ["all"]


def test_workers_that_start_together_prepare_once(tmp_path: Path) -> None:
    dataset, together, digests = Noise(), Barrier(4), list[str]()

    def work() -> None:
        together.wait()
        digests.append(prepare(dataset, tmp_path, notice=ignore).digest)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (dataset.writes, len(digests), len(set(digests))) == (1, 4, 1)


def test_notices_are_heard_once_and_kept(tmp_path: Path) -> None:
    heard: list[str] = []
    prepare(Noise(), tmp_path, notice=heard.append)
    again = prepare(Noise(), tmp_path, notice=heard.append)
    assert (heard, again.notices) == (["these data are noise"], ("these data are noise",))


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="CMAE_ABLATE_CACHE"):
        prepare(Noise(), tmp_path / "file", notice=ignore)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this platform reserves no space")
def test_a_full_disk_is_told_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(NoRoomError, match=f"^{tmp_path}: no room left on its disk"):
        prepare(Noise(), tmp_path, notice=ignore)
    assert folders(tmp_path) == []


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMAE_ABLATE_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
