"""Studies from Python: the command's own path, with values instead of files to read."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cmae_ablate as ca
from cmae_ablate.cli import python
from cmae_ablate.runner.options import Options
from tests.whole_study import write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of seconds."""
    folder = tmp_path_factory.mktemp("python")
    write_study(folder)
    return folder


@pytest.fixture(scope="module")
def result(place: Path) -> ca.Result:
    """The study, run from Python for one epoch and one seed."""
    study = ca.load_study(place / "study.yaml", settings={"training.epochs": 1}, seeds=1)
    assert (study.name, study.question) == ("study", "Does the decoder matter?")
    return study.run(out=place / "runs", workers=1, device="cpu")


def test_the_package_is_imported_without_torch_or_pandas() -> None:
    script = "import sys, cmae_ablate as ca; print([m for m in ('torch', 'pandas') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_only_what_is_documented_is_an_attribute_of_the_package() -> None:
    assert all(getattr(ca, name) is not None for name in ca.__all__)
    assert not hasattr(ca, "load_studdy")
    assert (ROOT / "cmae_ablate" / "py.typed").is_file()


def test_a_result_holds_what_lies_in_the_report(place: Path, result: ca.Result) -> None:
    assert result.folder == (place / "runs" / "study").resolve()
    assert (result.folder / "index.html").is_file()
    for frame, name in (
        (result.trials, "trials"),
        (result.effects, "effects"),
        (result.controls, "controls"),
    ):
        pd.testing.assert_frame_equal(frame, pd.read_csv(result.folder / f"{name}.csv"))
    assert result.trials["variant"].tolist() == ["depth 1", "linear"]
    assert result.trials["state"].tolist() == ["COMPLETE", "COMPLETE"]
    assert result.answer["question"] == "Does the decoder matter?"


def test_load_result_trains_nothing_and_is_the_same(
    place: Path, result: ca.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr("cmae_ablate.runner.run.run_study", trained)
    for name in ("study", "study.yaml"):
        again = ca.load_result(name, out=place / "runs")
        pd.testing.assert_frame_equal(again.trials, result.trials)
        assert again.answer == result.answer


def test_a_report_that_is_not_there_is_said_with_what_to_do(place: Path, result: ca.Result) -> None:
    with pytest.raises(
        ca.UserError, match=r"no report of 'studdy'; did you mean 'study'\?.*cmae-ablate report"
    ):
        ca.load_result("studdy", out=place / "runs")
    with pytest.raises(ca.UserError, match="no report of 'study'; run it first"):
        ca.load_result("study", out=place / "nowhere")


def copied(result: ca.Result, name: str) -> Path:
    """The report's files in a folder of another name, to be edited."""
    folder = result.folder.with_name(name)
    folder.mkdir()
    for path in result.folder.glob("*.*"):
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_labels_that_look_like_nothing_or_numbers_stay_labels(place: Path, result: ca.Result) -> None:
    folder = copied(result, "copy")
    text = (folder / "trials.csv").read_text()
    (folder / "trials.csv").write_text(text.replace("\ndepth 1,", "\nNA,").replace("\nlinear,", "\nnone,"))
    assert ca.load_result("copy", out=place / "runs").trials["variant"].tolist() == ["NA", "none"]
    (folder / "trials.csv").write_text(text.replace("\ndepth 1,", "\n010,").replace("\nlinear,", "\n1e-3,"))
    assert ca.load_result("copy", out=place / "runs").trials["variant"].tolist() == ["010", "1e-3"]


def test_rows_that_a_spreadsheet_left_blank_are_none(place: Path, result: ca.Result) -> None:
    folder = copied(result, "edited")
    with (folder / "trials.csv").open("a") as file:
        file.write("," * (len(result.trials.columns) - 1) + "\n")
    pd.testing.assert_frame_equal(ca.load_result("edited", out=place / "runs").trials, result.trials)


def test_a_cell_that_fails_for_good_raises_and_names_it(
    place: Path, result: ca.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(*arguments: object, **options: object) -> None:
        raise ca.UserError("the loss is on fire")

    monkeypatch.setattr("cmae_ablate.runner.attempt.run_any", diverges)
    study = ca.load_study(place / "study.yaml", settings={"training.epochs": 1}, seeds=2)
    with pytest.raises(ca.UserError, match=r"study: not every cell is complete; .*seed 1.*on fire"):
        study.run(out=place / "runs", workers=1, device="cpu")
    assert set(ca.load_result("study", out=place / "runs").trials["state"]) == {"COMPLETE", "FAILED"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"study": "decoder_sise"}, "did you mean 'decoder_size'?"),
        ({"study": "decoder_size", "settings": {"training.epoch": 1}}, "did you mean 'epochs'?"),
        ({"study": "decoder_size", "settings": {"training.epochs": object()}}, "settings: training.epochs"),
        (
            {"study": "decoder_size", "settings": {"training.base_lr": float("nan")}},
            "settings: training.base_lr",
        ),
        ({"study": "decoder_size", "seeds": 0}, "a number of seeds from 1"),
        ({"study": "decoder_size", "scale": "tinny"}, "did you mean 'tiny'?"),
    ],
)
def test_mistakes_are_user_errors_before_anything_runs(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ca.UserError) as caught:
        ca.load_study(**arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": "many"}, {"device": "tpu"}])
def test_wrong_options_of_run_are_user_errors(options: dict[str, Any], tmp_path: Path) -> None:
    study = ca.load_study("decoder_size")
    with pytest.raises(ca.UserError, match=r"--workers|--device"):
        study.run(out=tmp_path, **options)
    assert not any(tmp_path.iterdir())


def test_settings_arrive_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "my photos: 50%, #1?"
    study = ca.load_study(
        "decoder_size",
        scale="hour",
        settings={
            "dataset": {"name": "folder"},
            "dataset.source": source,
            "training": {"base_lr": 1e-5, "precision": "bf16"},
            "training.epochs": np.int64(3),
            "augmentation.strong_views": [0],
            "training.shared_mask": True,
        },
    )
    base = study._options.load().base
    assert study.name == "decoder_size-hour"
    assert base["dataset"]["source"] == str(source)
    training = {name: base["training"][name] for name in ("base_lr", "precision", "epochs", "shared_mask")}
    assert training == {"base_lr": 1e-5, "precision": "bf16", "epochs": 3, "shared_mask": True}
    assert base["augmentation"]["strong_views"] == [0]


def test_an_empty_variable_names_no_database(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Options] = []
    monkeypatch.setattr(python, "_run", lambda options: asked.append(options) or 130)
    for name in ("CMAE_ABLATE_STORAGE", "CMAE_ABLATE_TRACKING_URI"):
        monkeypatch.setenv(name, "")
    with pytest.raises(KeyboardInterrupt):
        ca.load_study(place / "study.yaml").run(out=place / "other")
    (options,) = asked
    assert (options.storage, options.tracking) == (None, None)
    assert "--storage" not in options.command


def test_another_thread_is_told_to_call_from_the_main_one(tmp_path: Path) -> None:
    study, said = ca.load_study("decoder_size"), []

    def call() -> None:
        try:
            study.run(out=tmp_path)
        except ca.UserError as error:
            said.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert "main thread" in said[0]


def test_list_components_has_every_option_with_type_default_range_and_source() -> None:
    frame = ca.list_components()
    assert list(frame) == ["slot", "name", "option", "type", "default", "range", "source"]
    row = frame[(frame["name"] == "moco_v3") & (frame["option"] == "temperature")].iloc[0]
    assert (row["slot"], row["type"], row["default"]) == ("objectives.contrastive", "number", 0.2)
    assert row["range"].startswith("> 0")
    assert row["source"] == "MoCo v3, 0.2 for ViTs; SDMAE, 1."
    assert {"full", "full_box"} <= set(frame.loc[frame["slot"] == "crop", "name"])
    assert frame.loc[frame["slot"] == "training", "option"].str.contains("base_lr").any()


def test_a_study_and_a_result_show_what_they_are_in_one_line(place: Path, result: ca.Result) -> None:
    study = ca.load_study(place / "study.yaml")
    assert repr(study) == "LoadedStudy('study', scale='tiny', question='Does the decoder matter?')"
    lines = (place / "runs" / "study" / "trials.csv").read_text().splitlines()[1:]
    complete = sum(",COMPLETE," in line for line in lines)
    shown = repr(ca.load_result("study", out=place / "runs"))
    assert shown == f"Result('{result.folder}', {complete} of {len(lines)} cells complete)"
