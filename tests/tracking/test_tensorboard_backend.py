"""Addresses of TensorBoard's folders, and what is refused before anything is trained."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.tracking import tensorboard_backend
from cmae_ablate.tracking.tensorboard_backend import TensorBoard

CELL = ("mask 0.5 (a)", 0, "0123456789abcdef")


def refusal(uri: str) -> str:
    with pytest.raises(UserError) as caught:
        TensorBoard(uri).check()
    return str(caught.value)


@pytest.fixture(autouse=True)
def _package(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with TensorBoard's package, which checks only look for."""
    monkeypatch.setattr(tensorboard_backend, "find_spec", lambda name: object())


@pytest.mark.parametrize("uri", ["tensorboard:", "tensorboard://runs/tb", "tensorboard:///tmp/tb"])
def test_an_address_without_a_folder_is_refused_with_an_example(uri: str) -> None:
    assert f"--tracking-uri {uri}: " in refusal(uri)
    assert "write tensorboard:DIR" in refusal(uri)


def test_a_file_in_the_way_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert f"{tmp_path / 'file'} is no folder" in refusal(f"tensorboard:{folder}")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_no_system_makes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    long = "x" * 300
    assert "name too long" in refusal(f"tensorboard:{tmp_path}/{long}").lower()
    assert "cannot be made a folder" in refusal(f"tensorboard:{tmp_path}/gone/below")


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard_backend.os, "access", lambda path, mode: False)  # root may write anywhere
    assert f"{tmp_path} cannot be written to" in refusal(f"tensorboard:{tmp_path / 'new'}")


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard_backend, "find_spec", lambda name: None)
    assert "pip install 'cmae-ablate[tensorboard]'" in refusal("tensorboard:runs/tb")


def test_a_check_creates_nothing_and_a_tracker_a_private_folder(tmp_path: Path) -> None:
    backend = TensorBoard(f"tensorboard:{tmp_path}/a%41/b?#[1] é")
    backend.check()
    assert list(tmp_path.iterdir()) == []
    backend.open(tmp_path / "out", "study")
    made = tmp_path / "a%41" / "b?#[1] é"
    assert made.is_dir()
    assert made.stat().st_mode & 0o077 == 0
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_after_all_is_a_mistake_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = TensorBoard(f"tensorboard:{tmp_path}/new")
    monkeypatch.setattr(TensorBoard, "check", lambda self: (tmp_path / "new").write_text("meanwhile"))
    with pytest.raises(UserError, match="cannot be made a folder"):
        backend.open(tmp_path, "study")


def test_the_command_and_the_address_name_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    backend = TensorBoard("tensorboard:tb of mine")
    assert backend.ui_command().endswith(f"--logdir '{tmp_path}/tb of mine' --port 6006")
    assert backend.links("study", [CELL]) == {}
    folder = tmp_path / "tb of mine" / "study" / "mask 0.5 (a)" / "seed 0 01234567"
    folder.mkdir(parents=True)
    (address,) = backend.links("study", [CELL]).values()
    assert address.startswith("http://127.0.0.1:6006/?")
    pattern = parse_qs(urlsplit(address).query)["runFilter"][0]
    assert re.search(pattern, "study/mask 0.5 (a)/seed 0 01234567")
    assert not re.search(pattern, "study/mask 0x5 (a)/seed 0 01234567")
