from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from cmae_ablate.components.datasets.holdout import hold_out
from cmae_ablate.components.datasets.sources import (
    Origin,
    find_source,
    named_files_identity,
    obtain,
    source_key,
)
from cmae_ablate.errors import UserError

CONTENTS = b"an archive"


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Origin:
    """An archive 'on the network', and a cache to download into."""
    monkeypatch.setenv("CMAE_ABLATE_CACHE", str(tmp_path / "cache"))
    published = tmp_path / "server" / "archive.zip"
    published.parent.mkdir()
    published.write_bytes(CONTENTS)
    md5 = hashlib.md5(CONTENTS, usedforsecurity=False).hexdigest()
    return Origin("example", published.as_uri(), md5, "10 bytes", "https://example.org")


def silent(label: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def test_a_download_is_checked_and_kept(origin: Origin, tmp_path: Path) -> None:
    first = obtain(origin, None, True, silent)
    (tmp_path / "server" / "archive.zip").unlink()
    assert obtain(origin, None, True, silent) == first == tmp_path / "cache" / "downloads" / "archive.zip"
    assert first.read_bytes() == CONTENTS


def test_a_download_with_another_checksum_is_refused_and_not_kept(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "server" / "archive.zip").write_bytes(b"something else")
    with pytest.raises(UserError, match="MD5"):
        obtain(origin, None, True, silent)
    assert list((tmp_path / "cache" / "downloads").iterdir()) == []


def test_a_failing_network_says_what_to_do_by_hand(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "server" / "archive.zip").unlink()
    with pytest.raises(UserError, match="cmae-ablate data prepare example --source"):
        obtain(origin, None, True, silent)


def test_a_given_source_is_preferred_to_a_download(origin: Origin, tmp_path: Path) -> None:
    mine = tmp_path / "mine.zip"
    mine.write_bytes(b"mine")
    assert obtain(origin, str(mine), True, silent) == mine


def test_the_key_of_a_download_is_known_before_it_is_there(origin: Origin, tmp_path: Path) -> None:
    assert source_key(origin, None, True, named_files_identity()) == f"official-{origin.md5[:8]}"
    assert not (tmp_path / "cache").exists()


def test_a_tilde_stands_for_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    assert find_source("folder", "~/data", "") == tmp_path / "data"


def test_a_relative_source_starts_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_source("folder", "data", "") == tmp_path / "data"


@pytest.mark.parametrize("path", ["/dev/zero", "pipe"])
def test_a_source_that_would_never_end_or_never_answer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(UserError, match="neither a folder nor a file"):
        find_source("tiny_imagenet", path, "download it")


def test_a_source_of_links_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match=r"cannot be read|does not exist"):
        find_source("folder", str(tmp_path / "a"), "name it")


def test_held_out_parts_take_their_fraction_of_every_class() -> None:
    labels = np.repeat(np.arange(4), (10, 20, 30, 3))
    parts = hold_out(labels, [0.1, 0.2])
    counts = [[int(((parts == part) & (labels == label)).sum()) for part in range(3)] for label in range(4)]
    assert counts == [[7, 1, 2], [14, 2, 4], [21, 3, 6], [1, 1, 1]]


def test_holding_out_is_the_same_every_time() -> None:
    labels = np.repeat(np.arange(3), 50)
    np.testing.assert_array_equal(hold_out(labels, [0.1]), hold_out(labels, [0.1]))


def test_a_class_too_small_to_divide_is_reported() -> None:
    with pytest.raises(ValueError, match="1"):
        hold_out(np.array([0, 0, 0, 1]), [0.1])
