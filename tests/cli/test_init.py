"""`init`: the file it writes is a study, with everything that it offers switched on, too."""

from __future__ import annotations

import json
import re
import resource
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from ruamel.yaml import YAML

from cmae_ablate.study import design
from cmae_ablate.study.loading import load
from tests.cli.test_app import call


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_written_study_passes_plan_and_the_next_command_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = call(capsys, "init")
    assert status == 0
    assert "cmae-ablate plan my_study.yaml" in out
    status, out, _ = call(capsys, "plan", "my_study.yaml", "--device", "cpu")
    assert status == 0
    assert "9 cells (3 variants x 3 seeds)" in out


def test_an_editor_finds_the_schema_beside_the_study_and_accepts_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call(capsys, "init", "studies/own")
    first, *_ = Path("studies/own.yaml").read_text().splitlines()
    assert first == "# yaml-language-server: $schema=study.schema.json"
    schema = json.loads(Path("studies/study.schema.json").read_text())
    study = YAML(typ="safe", pure=True).load(Path("studies/own.yaml"))
    assert list(Draft202012Validator(schema).iter_errors(study)) == []
    assert list(Draft202012Validator(schema).iter_errors({**study, "seeds": 0})) != []


def test_every_setting_that_is_off_can_be_switched_on(capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "init", "mine.yaml")
    text = Path("mine.yaml").read_text()
    Path("mine.yaml").write_text(re.sub(r"^#(?=\S|  \S)", "", text, flags=re.MULTILINE))
    study = load(Path("mine.yaml"))
    assert [variant.spec.training.epochs for variant in design.variants(study)] == [10, 10, 10]
    assert (study.contrasts, study.equivalence_margin, study.budget) == (
        (("depth 1", "depth 4"),),
        1.0,
        "flops",
    )


def test_a_folder_of_images_is_set_whatever_its_path_holds(capsys: pytest.CaptureFixture[str]) -> None:
    source = Path("my 'own': photos # \u00e9")
    for name in ("bird", "cat"):
        (source / "train" / name).mkdir(parents=True)
        for index in range(6):
            Image.new("RGB", (20, 20), (40 * index, 0, 0)).save(source / "train" / name / f"{index}.png")
    assert call(capsys, "init", "studies/own", "--data", "folder", "--source", source)[0] == 0
    [spec, *_] = [variant.spec for variant in design.variants(load(Path("studies/own.yaml")))]
    assert spec["dataset"].options["source"] == str(source)
    status, _, err = call(capsys, "plan", "studies/own.yaml")
    assert status == 2
    assert "exceeds the 8 training images; lower it: --set training.batch_size=4" in err


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("precious")
    status, _, err = call(capsys, "init", "mine")
    assert status == 2
    assert "mine.yaml exists and is left as it is" in err
    assert Path("mine.yaml").read_text() == "precious"


def test_a_schema_of_another_version_is_kept_and_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "note:" not in call(capsys, "init", "mine")[1]
    assert "note:" not in call(capsys, "init", "second")[1]
    Path("study.schema.json").write_text("{}\n")
    said = " ".join(call(capsys, "init", "third")[1].split())
    assert "note: study.schema.json is left as it is, though it is not this version's" in said
    assert Path("study.schema.json").read_text() == "{}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_file_that_could_not_be_written_whole_is_not_left_in_the_way(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        status, _, err = call(capsys, "init", "mine")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 1
    assert "mine.yaml: no room left on its disk" in err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "foldr"], "did you mean 'folder'?"),
        (["--source", "nowhere"], "init --source nowhere: there is nothing at this path"),
        (["/proc/mine.yaml"], "/proc/mine.yaml: cannot be written"),
    ],
)
def test_wrong_options_of_init_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = call(capsys, "init", *arguments)
    assert status == 2
    assert words in err
    assert not Path("my_study.yaml").exists()


@pytest.mark.parametrize("name", [".", "..", "studies/", ".yaml", "studies/.yaml"])
def test_what_names_a_folder_is_refused_and_writes_no_hidden_file(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, _, err = call(capsys, "init", name)
    assert (status, err.startswith(f"init {name}: this names a folder, no file; ")) == (2, True)
    assert list(tmp_path.iterdir()) == []
