"""Files that commands are told to write: what cannot be one is refused before any work, and left as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from cmae_ablate.cli import app
from cmae_ablate.cli.targets import check_picture, check_target
from cmae_ablate.errors import UserError

SMALL = [
    f"--set={setting}" for setting in ("num_train=64", "num_validation=32", "num_test=32", "image_size=32")
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and a cache of the test's own elsewhere."""
    monkeypatch.setenv("CMAE_ABLATE_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def refusal(*arguments: str) -> str:
    result = CliRunner().invoke(app.app, list(arguments), catch_exceptions=True)
    assert isinstance(result.exception, UserError), result.exception or result.output
    return str(result.exception)


BAD_FILES = [
    (".", "this is a folder"),
    ("nodir/x.png", "the folder nodir does not exist; create it first"),
    ("/etc/passwd/x.png", "/etc/passwd is a file, no folder; choose another place"),
]
BAD_PICTURES = [
    *BAD_FILES,
    ("x.foo", "let the name end in .png"),
    ("noext", "let the name end in .png"),
    (".png", "let the name end in .png"),
]


@pytest.mark.parametrize(("picture", "message"), BAD_PICTURES)
def test_data_show_refuses_what_is_no_picture_before_it_prepares_anything(
    picture: str, message: str, here: Path
) -> None:
    assert refusal("data", "show", "scenes", *SMALL, "--picture", picture).startswith(
        f"--picture {picture}: "
    )
    assert message in refusal("data", "show", "scenes", *SMALL, "--picture", picture)
    assert list(here.iterdir()) == [] and not (here.parent / "cache").exists()


@pytest.mark.parametrize("name", ["x.png", "X.PNG"])
def test_data_show_draws_a_png_of_the_very_name(name: str, here: Path) -> None:
    done = CliRunner().invoke(app.app, ["data", "show", "scenes", *SMALL, "--picture", name])
    assert done.exception is None, done.exception
    assert [each.name for each in here.iterdir()] == [name]
    with Image.open(here / name) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(("out", "message"), BAD_FILES)
def test_the_schema_is_refused_alike(out: str, message: str, here: Path) -> None:
    assert refusal("schema", "--out", out).startswith(f"--out {out}: {message}")
    assert list(here.iterdir()) == []


def test_a_closed_folder_is_named_and_an_open_one_passes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_target(here / "found.json")
    check_picture(here / "drawn.PNG")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # as root, no folder is closed
    with pytest.raises(UserError, match=r"^--out .*found\.json: .*here cannot be written to"):
        check_target(here / "found.json")
