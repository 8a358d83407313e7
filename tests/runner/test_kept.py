"""Numbers that plans keep: found again, never those of other code, and never a reason to fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cmae_ablate.files import SEAL
from cmae_ablate.runner.kept import MOST, Kept


def refused(text: str) -> None:
    pytest.fail(text)


def test_what_was_kept_is_found_by_the_next_plan(tmp_path: Path) -> None:
    first = Kept(tmp_path / "plan" / "numbers.json", refused)
    first.keep("counts", ["a", 1], {"flops": 3})
    assert Kept(tmp_path / "plan" / "numbers.json", refused).find("counts", ["a", 1]) is None
    first.save()
    second = Kept(tmp_path / "plan" / "numbers.json", refused)
    assert second.find("counts", ["a", 1]) == {"flops": 3}
    assert second.find("counts", ["a", 2]) is None
    assert second.find("speeds", ["a", 1]) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"counts": 3, "speeds": {}}', b'{"counts": {}}'])
def test_damaged_numbers_are_not_used_the_reason_is_said_and_they_are_found_anew(
    damage: bytes, tmp_path: Path
) -> None:
    path, told = tmp_path / "numbers.json", []
    path.write_bytes(damage)
    kept = Kept(path, told.append)
    assert kept.find("counts", "a") is None
    assert len(told) == 1
    assert told[0].startswith(f"{path}: not used, and found anew (")
    kept.keep("counts", "a", 5)
    kept.save()
    assert Kept(path, refused).find("counts", "a") == 5


def test_a_number_that_was_changed_in_the_file_is_noticed(tmp_path: Path) -> None:
    path, told = tmp_path / "numbers.json", []
    kept = Kept(path, refused)
    kept.keep("counts", "a", 12345)
    kept.save()
    path.write_bytes(path.read_bytes().replace(b"12345", b"12346"))
    assert Kept(path, told.append).find("counts", "a") is None
    assert "SHA-256" in told[0]


def test_numbers_that_nobody_sealed_are_not_used(tmp_path: Path) -> None:
    # They may be of any shape, and a plan would compute with them.
    path, told = tmp_path / "numbers.json", []
    kept = Kept(path, refused)
    kept.keep("counts", "a", {"cost": -1})
    kept.save()
    content = json.loads(path.read_bytes())
    del content[SEAL]
    path.write_text(json.dumps(content))
    assert Kept(path, told.append).find("counts", "a") is None
    assert len(told) == 1


def test_the_oldest_go_where_there_are_too_many(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "numbers.json", refused)
    for index in range(MOST + 3):
        kept.keep("counts", index, index)
    kept.save()
    read = Kept(tmp_path / "numbers.json", refused)
    assert [read.find("counts", index) for index in (2, 3, MOST + 2)] == [None, 3, MOST + 2]


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = Kept(tmp_path / "file" / "numbers.json", lambda text: None)
    kept.keep("counts", "a", 1)
    kept.save()
    nowhere = Kept(None, refused)
    nowhere.keep("counts", "a", 1)
    nowhere.save()
