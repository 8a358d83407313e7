"""Records that know whether they are what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.records import DamagedError, file_sha256, read_record, sealed, set_aside

CONTENT = {"metrics": {"knn.top1": 23.5}, "seed": 0, "warning": None}


def test_a_record_reads_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(sealed(CONTENT))
    assert read_record(tmp_path / "record.json") == CONTENT


def test_a_record_without_a_seal_reads_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps(CONTENT))
    assert read_record(tmp_path / "record.json") == CONTENT


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "garbage": lambda content: bytes(range(256)),
    "another digit": lambda content: content.replace(b"23.5", b"23.6"),
    "a list": lambda content: b"[1, 2]",
    "nested without end": lambda content: b"[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_named(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(damage(sealed(CONTENT)))
    with pytest.raises(DamagedError, match=r"record\.json: damaged"):
        read_record(path)


def test_a_folder_in_the_place_of_a_record_is_damage(tmp_path: Path) -> None:
    (tmp_path / "record.json").mkdir()
    with pytest.raises(DamagedError, match="cannot be read"):
        read_record(tmp_path / "record.json")


def test_what_is_set_aside_is_kept_under_names_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for content in (b"first", b"second"):
        path.write_bytes(content)
        set_aside(path)
    assert not path.exists()
    kept = sorted(tmp_path.iterdir())
    assert [each.name for each in kept] == ["model.safetensors.damaged-1", "model.safetensors.damaged-2"]
    assert [each.read_bytes() for each in kept] == [b"first", b"second"]


def test_what_cannot_be_set_aside_is_a_mistake_of_the_users(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone: damaged, and cannot be renamed .*remove it"):
        set_aside(tmp_path / "gone")


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert (
        file_sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert hashlib.sha256(b"abc").hexdigest() == file_sha256(tmp_path / "file")
