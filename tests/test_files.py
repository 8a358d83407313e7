"""Whatever path a user gives: a file is read up to a size, and everything else is one line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
import torch

import cmae_ablate as ca
from cmae_ablate.cli.weights.source import open_checkpoint
from cmae_ablate.components.backbones.mae_layout import read_mae_state
from cmae_ablate.errors import UserError
from cmae_ablate.files import (
    DamagedError,
    UnfitFileError,
    file_sha256,
    open_to_read,
    read_record,
    read_regular,
    sealed,
    set_aside,
    staged,
    write_atomically,
)
from cmae_ablate.report.trials import read_controls_beside, read_trials
from cmae_ablate.runner.analysis_plan import read_plan
from cmae_ablate.runner.finished import check_pretraining
from cmae_ablate.runner.progress import read_notes
from cmae_ablate.runner.reporting import describe_unread
from cmae_ablate.study.finding import find_study
from cmae_ablate.study.loading import load

SECONDS = 60
KINDS = ("pipe", "device", "folder", "huge")


@pytest.fixture(autouse=True)
def _not_for_ever() -> Iterator[None]:
    """Who opens a pipe waits for a writer: the test fails instead."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError("something waits for a pipe, or reads a device")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def put(path: Path, kind: str) -> Path:
    """Something at a path that is no file to be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(2**40)  # a hole: it takes no space
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_not_read(kind: str, tmp_path: Path) -> None:
    path = put(tmp_path / "x", kind)
    with pytest.raises(UnfitFileError, match=r"pipe or a device|folder|are more than the 1,000"):
        read_regular(path, 1000)


def test_a_file_without_a_size_is_read_up_to_the_limit() -> None:
    assert read_regular("/proc/self/status", 10**6).startswith(b"Name:")
    with pytest.raises(UnfitFileError, match="more than the 5"):
        read_regular("/proc/self/status", 5)


def test_a_file_of_just_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with open_to_read(path) as file:
        assert file.read() == b"12345"


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnfitFileError, match="no file can have this name"):
        read_regular(tmp_path / name, 10)
    with pytest.raises(DamagedError, match="no file can have this name"):
        file_sha256(tmp_path / name)


def _study(path: Path, study: Path) -> object:
    return load(find_study(path))


def _scale(path: Path, study: Path) -> object:
    return load(study, scale=str(path))


def _trials(path: Path, study: Path) -> object:
    return read_trials(path, describe_unread(load(study)))


def _controls(path: Path, study: Path) -> object:
    trials = path.with_name("trials.csv")
    trials.write_text("variant,seed,state,knn.top1\nlinear,0,COMPLETE,10\n")
    path.rename(path.with_name("controls.csv"))
    described = describe_unread(load(study))
    return read_controls_beside(trials, read_trials(trials, described), described)


def _checkpoint(path: Path, study: Path) -> object:
    return open_checkpoint(path, (), ())


def _backbone(path: Path, study: Path) -> object:
    return ca.load_study(study, settings={"backbone": {"name": "checkpoint", "path": path}}).run(
        path.parent / "runs"
    )


def _source(path: Path, study: Path) -> object:
    settings = {"dataset.name": "tiny_imagenet", "dataset.source": path}
    return ca.load_study(study, settings=settings).run(path.parent / "runs")


def _result(path: Path, study: Path) -> object:
    folder = path.parent / "report"
    folder.mkdir()
    (folder / "answer.json").write_text("{}")
    path.rename(folder / "trials.csv")
    return ca.load_result("report", path.parent)


PLACES = {
    each.__name__[1:]: each
    for each in (_study, _scale, _trials, _controls, _checkpoint, _backbone, _source, _result)
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", sorted(PLACES))
def test_every_path_that_a_user_gives_is_a_file_or_one_line(
    place: str, kind: str, tiny_study: Path, tmp_path: Path
) -> None:
    suffix = ".yaml" if place in {"study", "scale"} else ".pth"
    path = put(tmp_path / "given" / f"it{suffix}", kind)
    with pytest.raises(UserError) as refusal:
        PLACES[place](path, tiny_study)
    assert "\n" not in str(refusal.value)


STATE: dict[str, Callable[[Path], object]] = {
    "result.json": lambda path: check_pretraining(path.parent),
    "record.json": read_record,
    "analysis_plan.json": read_plan,
    "any file beside": file_sha256,
}


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("name", sorted(STATE))
def test_state_that_is_no_file_is_damaged_or_one_line(name: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises((DamagedError, UserError)):
        STATE[name](put(tmp_path / name, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_note_of_progress_that_is_no_file_is_passed_over(kind: str, tmp_path: Path) -> None:
    put(tmp_path / "a.json", kind)
    assert read_notes(tmp_path) == []


def test_a_checkpoint_that_unpacks_to_more_than_it_has_is_refused(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.pth", tmp_path / "packed.pth"
    torch.save({"cls_token": torch.zeros(1, 1, 2**18)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    assert packed.stat().st_size < 10_000
    assert read_mae_state(plain)["cls_token"].shape == (1, 1, 2**18)
    with pytest.raises(UserError, match=r"packed\.pth: refused: its .* bytes would unpack to 1,04"):
        read_mae_state(packed)


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


def test_staged_files_take_their_places_together_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    with staged(folder) as aside:
        (aside / "a.txt").write_text("one")
        (aside / "b.txt").write_text("one")
        assert not (folder / "a.txt").exists()
    with pytest.raises(OSError) as caught, staged(folder) as aside:
        (aside / "a.txt").write_text("two")
        raise OSError(errno.ENOSPC, "No space left on device", str(aside / "b.txt"))
    assert caught.value.filename == str(folder / "b.txt")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.txt": "one", "b.txt": "one"}


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("one")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", b"two")
    assert (tmp_path / "target").read_text() == "two"
    assert (tmp_path / "link").is_symlink()


def test_what_cannot_be_written_is_named_as_the_user_knows_it(tmp_path: Path) -> None:
    (tmp_path / "controls.csv").mkdir()
    with pytest.raises(OSError) as caught:
        write_atomically(tmp_path / "controls.csv", b"text")
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "controls.csv"), None)
    assert [path.name for path in tmp_path.iterdir()] == ["controls.csv"]
