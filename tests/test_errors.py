"""What of a stranger's text is shown."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cmae_ablate.errors import (
    NoRoomError,
    UserError,
    looks,
    no_room,
    path_error,
    printable,
    readable,
    system_error,
    writing,
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("größe 犬🐈.png", "größe 犬🐈.png"),
        ("e\u0301 \u200d", "e\u0301 \u200d"),  # an accent of its own, and what joins letters
        (b"caf\xe9".decode("utf-8", "surrogateescape"), r"caf\xe9"),
        ("a\nb\x1b[31m\u2028", r"a\nb\x1b[31m\u2028"),
        ("\ud83d", r"\ud83d"),
        ("exe.\u202egnp", r"exe.\u202egnp"),
        ("\x9b2J\x00\x7f\r\x07", r"\x9b2J\x00\x7f\r\x07"),
        ("[/x] :smile:", "[/x] :smile:"),
    ],
)
def test_names_are_shown_so_that_they_can_be_printed_and_stored_anywhere(name: str, shown: str) -> None:
    assert readable(name) == shown


def test_lines_and_columns_stay_where_a_text_has_several() -> None:
    assert printable("a\n\tb\x1b") == "a\n\tb\\x1b"


def test_a_mistake_is_one_line_whatever_it_quotes() -> None:
    error = UserError("study.yaml: label 'a\nb\x1b]8;;http://x\x07' is wrong; change it")
    assert str(error) == r"study.yaml: label 'a\nb\x1b]8;;http://x\x07' is wrong; change it"


@pytest.mark.parametrize(
    "twin",
    [
        "depth 1\N{ZERO WIDTH SPACE}",
        "dep\N{SOFT HYPHEN}th 1",
        "depth\N{ZERO WIDTH JOINER} 1",
        "depth\N{EM SPACE}1 ",
        "depth 1\N{VARIATION SELECTOR-16}",
        "depth 1\N{HANGUL FILLER}",
        "depth 1\N{BRAILLE PATTERN BLANK}",
        "depth \N{FULLWIDTH DIGIT ONE}",
    ],
)
def test_names_that_nobody_could_tell_apart_look_alike(twin: str) -> None:
    assert looks(twin) == looks("depth 1")


@pytest.mark.parametrize("other", ["Depth 1", "depth1", "depth 2", "depth 1\N{COMBINING ACUTE ACCENT}"])
def test_names_that_differ_for_a_reader_look_different(other: str) -> None:
    assert looks(other) != looks("depth 1")


@pytest.mark.parametrize(
    "name", ["", "\N{ZERO WIDTH SPACE}", "\N{HANGUL FILLER} ", "\N{BRAILLE PATTERN BLANK}"]
)
def test_of_what_cannot_be_seen_nothing_is_left(name: str) -> None:
    assert looks(name) == ""


def raised(action: Callable[[], object]) -> str:
    """What is said of the error that the system raises."""
    with pytest.raises(OSError) as caught:
        action()
    return str(path_error(caught.value))


def test_a_path_that_cannot_be_used_is_named_by_what_stands_in_its_way(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch()
    (folder / "full").mkdir(parents=True)
    no_folder = f"{file}: a folder is needed here, and this is none; move it away, or choose another place"
    assert raised(lambda: file.mkdir(exist_ok=True)) == no_folder
    assert raised(lambda: (file / "a" / "b").mkdir(parents=True)) == no_folder
    assert raised((file / "a").read_text) == no_folder
    no_file = f"{folder}: a file is needed here, and this is a folder; move it away, or choose another place"
    assert raised(folder.read_bytes) == no_file
    assert raised(lambda: os.replace(file, folder)) == no_file
    absent = tmp_path / "absent"
    assert raised(lambda: os.replace(absent, file)).startswith(f"{absent}: cannot be used (No such file")


FULL = OSError(errno.ENOSPC, "No space left on device")


def full(place: Path) -> OSError:
    return OSError(errno.ENOSPC, "No space left on device", str(place))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (full(Path("/no/such/a.png")), NoRoomError, "/no/such/a.png: no room left on its disk ("),
        (FULL, NoRoomError, "/out: no room left on its disk ("),
        (
            OSError(errno.EACCES, "Denied"),
            UserError,
            "/out: cannot be written (Denied); choose another --out",
        ),
    ],
)
def test_what_cannot_be_written_is_a_mistake_unless_the_disk_is_full(
    error: OSError, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught, writing(Path("/out"), "choose another --out"):
        raise error
    assert str(caught.value).startswith(words)


def test_a_full_disk_is_said_in_words_and_not_as_python_shows_an_error(tmp_path: Path) -> None:
    told = system_error(full(tmp_path / "study.json"))
    assert isinstance(told, NoRoomError)
    assert str(told).startswith(f"{tmp_path}/study.json: no room left on its disk (")
    assert isinstance(system_error(FULL), NoRoomError)
    assert "Errno" not in str(system_error(FULL))
    assert "cache prune --unused --out" not in str(told)  # nobody knows whether this is a study's folder
    assert f"`cmae-ablate cache prune --unused --out {tmp_path}`" in no_room(tmp_path, is_out=True)


@pytest.mark.parametrize(("free", "named"), [(10**6, False), (10**12, True)])
def test_a_disk_with_room_is_said_to_have_a_limit_of_another_kind(
    free: int, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(2 * free, free, free))
    assert ("look at your quota, and at ulimit -f" in no_room(tmp_path)) == named
    assert f"({free / 1e6:,.0f} MB free" in no_room(tmp_path)


def test_an_error_that_names_no_path_is_left_as_it_is() -> None:
    assert path_error(OSError(5, "Input/output error")) is None
    assert path_error(OSError("told by nobody")) is None
