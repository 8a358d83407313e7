"""A study is called by a path or by its name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.runner.options import Options
from cmae_ablate.study.finding import find_study, known_studies, study_names
from cmae_ablate.study.loading import load

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.stem for path in (ROOT / "studies").glob("*.yaml"))


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where nothing lies beside the packaged studies."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", SHIPPED)
def test_every_packaged_study_is_found_by_name_from_an_empty_folder(name: str) -> None:
    path = find_study(name)
    assert path == ROOT / "studies" / f"{name}.yaml"
    assert load(path).name == name


def test_a_file_comes_before_the_folder_studies_and_that_before_what_is_packaged(empty_folder: Path) -> None:
    (empty_folder / "studies").mkdir()
    shutil.copy(ROOT / "studies" / "crop.yaml", empty_folder / "studies")
    assert find_study("crop") == Path("studies/crop.yaml")
    shutil.copy(ROOT / "studies" / "crop.yaml", empty_folder / "crop.yaml")
    assert find_study("crop") == Path("crop.yaml")
    (empty_folder / "crop").write_text("a file of this very name")
    assert find_study("crop") == Path("crop")


def test_a_folder_of_the_name_is_no_study(empty_folder: Path) -> None:
    (empty_folder / "decoder_size").mkdir()
    assert find_study("decoder_size") == ROOT / "studies" / "decoder_size.yaml"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("decoder_sise", "did you mean 'decoder_size'?"),
        ("my_studdy", "did you mean 'my_study'?"),
        ("moon", "choose from: cmae_presets, cmae_vs_mae"),
        ("studies/decoder_size.yaml", "there is no such file; did you mean the study 'decoder_size'?"),
        ("absent.yaml", "absent.yaml: there is no such file; check the path"),
        ("scales/cpu", "scales/cpu: there is no such file"),
        (".", ".: this is a folder, a pipe or a device, no file; give the path of a study"),
    ],
)
def test_what_matches_nothing_is_said_with_what_was_meant(typed: str, words: str, empty_folder: Path) -> None:
    (empty_folder / "my_study.yaml").touch()
    with pytest.raises(UserError) as caught:
        find_study(typed)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_workers_get_a_path_and_a_report_shows_the_name() -> None:
    options = Options(find_study("decoder_size"))
    assert Path(options.arguments()[0]).is_absolute()
    assert options.command.startswith("cmae-ablate run decoder_size --device")


def test_a_path_that_was_typed_stays_as_typed_in_the_command(empty_folder: Path) -> None:
    folder = empty_folder / "a b"
    folder.mkdir()
    shutil.copy(ROOT / "studies" / "crop.yaml", folder / "100%.yaml")
    assert "'a b/100%.yaml'" in Options(find_study("a b/100%.yaml")).command


def test_known_studies_have_question_and_the_cost_of_their_header(empty_folder: Path) -> None:
    (empty_folder / "studies").mkdir()
    (empty_folder / "studies" / "mine.yaml").write_text("# Takes: a day.\nquestion: Is it?\n")
    (empty_folder / "studies" / "torn.yaml").write_text("question: {")
    known = {study.name: study for study in known_studies()}
    assert list(known) == sorted([*SHIPPED, "mine", "torn"]) == study_names()
    assert (known["mine"].question, known["mine"].takes) == ("Is it?", "a day")
    assert "cannot be read" in known["torn"].question
    assert "minutes of processor time" in known["decoder_size"].takes
