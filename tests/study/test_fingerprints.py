from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.study.fingerprints import digest, file_digest


def test_the_order_of_keys_names_nothing_and_every_value_does() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert len({digest(each) for each in ({"a": 1}, {"a": 1.0}, {"a": "1"}, {"b": 1})}) == 4
    assert digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()[:32]


def test_a_file_is_named_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.write_bytes(b"weights")
    assert file_digest(str(one)) == file_digest(str(other)) == hashlib.sha256(b"weights").hexdigest()
    one.write_bytes(b"others!!")
    assert file_digest(str(one)) != file_digest(str(other))
    with pytest.raises(UserError, match="absent: cannot be read"):
        file_digest(str(tmp_path / "absent"))
