from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from cmae_ablate.cli.app import main

ROOT = Path(__file__).parents[2]
COMMANDS = ["run", "plan", "worker", "status", "report", "components", "schema", "init", "doctor", "evaluate"]
COMMANDS += ["reconstruct", "export", "studies"]


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command in this process: exit status, output, errors."""
    before = sys.argv
    sys.argv = ["cmae-ablate", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as caught:
            main()
    finally:
        sys.argv = before
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_a_mistake_ends_in_seconds_with_status_2_one_line_and_nothing_created(tiny_study: Path) -> None:
    tiny_study.write_text(tiny_study.read_text().replace("name: linear", "name: liner"))
    out = tiny_study.parent / "runs"
    command = [sys.executable, "-m", "cmae_ablate", "run", str(tiny_study), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"{tiny_study}:9:16: factors.decoder.levels.linear.name: no decoder is called 'liner'; "
        "did you mean 'linear'?\n"
    )
    assert "Traceback" not in done.stdout
    assert not out.exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, name, "--help")
    assert status == 0
    assert "Usage" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gpus-per-worker", "0"], "--gpus-per-worker 0: a number above 0"),
        (["--gpus-per-worker", "0.5"], "--gpus-per-worker 0.5: only with --launcher ray"),
        (
            ["--launcher", "ray", "--device", "cpu", "--gpus-per-worker", "0.5"],
            "--gpus-per-worker 0.5: no worker takes a GPU with --device cpu; leave one of them out",
        ),
        (["--slurm", "time=1"], "--slurm time=1: only with --launcher slurm"),
        (["--no-wait"], "--no-wait: only with --launcher slurm"),
        (["--launcher", "slurm", "--slurm", "time"], "--slurm time: KEY=VALUE is expected"),
        (["--launcher", "slurm", "--slurm", "array=0-3"], "--slurm array=0-3: sbatch's --array is set by"),
        (["--launcher", "moon"], "there is no such launcher"),
        (["--device", "tpu"], "--device tpu: choose auto, cpu or cuda"),
        (["--workers", "0"], "--workers 0: a number from 1"),
        (["--set", "training.batch_size=65"], "exceeds the 64 training images"),
        (["--out", __file__], f"{__file__}: a folder is needed here, and this is none; move it away"),
        (["--seeds", "0"], "--seeds: a number of seeds from 1"),
        (["--scale", "tinny"], "did you mean 'tiny'?"),
        (["--cell", "linear:7"], "the study has no such cell"),
        (["--import", "absent.csv"], "absent.csv"),
        (["--storage", "mysql://user:hunter2@host/db"], "mysql"),
        (["--set", "dataset.name=tiny_imagenet"], "tiny-imagenet-200.zip"),
    ],
)
def test_wrong_options_are_refused_by_name(
    arguments: list[str], words: str, tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = call(capsys, "run", tiny_study, "--out", tiny_study.parent / "runs", *arguments)
    assert status == 2
    assert words in err
    assert "hunter2" not in err
    assert len(err.strip().splitlines()) <= 3


@pytest.mark.parametrize("place", ["tiny_study", "cache", "mlartifacts", "tiny_study/logs"])
def test_a_file_where_a_folder_of_state_belongs_is_named_with_what_to_do(
    place: str, tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tiny_study.parent / "runs"
    blocker = out / place
    blocker.parent.mkdir(parents=True)
    blocker.write_text("mine")
    status, _, err = call(capsys, "run", tiny_study, "--out", out, "--device", "cpu", "--workers", "1")
    assert status == 2
    assert f"{blocker}: a folder is needed here, and this is none; move it away, or choose another" in err
    assert "Traceback" not in err
    assert blocker.read_text() == "mine"


def test_an_error_of_the_system_without_a_path_is_no_mistake_of_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails() -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("cmae_ablate.cli.app.app", fails)
    monkeypatch.setattr("sys.argv", ["cmae-ablate", "status"])
    with pytest.raises(OSError, match="Input/output error"):
        main()


RESUMES, RESTARTS = "goes on from the last checkpoint", "begins again"


@pytest.mark.parametrize(
    ("command", "options", "remedy"),
    [
        ("run", [], RESUMES),
        ("worker", [], RESUMES),
        ("run", ["--cell", "linear:0"], RESTARTS),
        ("plan", ["--json"], RESTARTS),
        ("report", [], RESTARTS),
    ],
)
def test_ctrl_c_before_the_first_cell_is_said_in_one_line_on_stderr(
    command: str,
    options: list[str],
    remedy: str,
    tiny_study: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cmae_ablate.cli.shared.StudyOptions.of", interrupted)
    status, _, err = call(capsys, command, tiny_study, *options)
    assert status == 130
    told = [line for line in err.splitlines() if not line.endswith(" ...")]  # with --json it begins on stderr
    assert told == [f"interrupted; the same command {remedy}"]


def test_an_interruption_that_the_training_has_told_is_not_told_again(
    tiny_study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmae_ablate.runner.data_sets.run_data_sets", lambda *_, **__: 130)
    options = ["--device", "cpu", "--workers", "1", "--out", tiny_study.parent / "runs"]
    status, _, err = call(capsys, "run", tiny_study, *options)
    assert (status, err) == (130, "")


def test_plan_trains_nothing_and_creates_nothing(
    tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tiny_study.parent / "runs"
    status, text, _ = call(capsys, "plan", tiny_study, "--out", out, "--device", "cpu")
    assert status == 0
    assert "4 cells (2 variants x 2 seeds)" in text
    assert "64 training images" in text
    assert not out.exists()


def test_one_of_a_kind_is_no_plural(tiny_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--out", tiny_study.parent / "runs", "--device", "cpu", "--seeds", "1", "--set"]
    status, text, _ = call(capsys, "plan", tiny_study, *options, "training={epochs: 1, warmup_epochs: 3}")
    assert status == 0
    assert "pretraining: 1 epoch," in text
    assert "training.warmup_epochs 3 does not fit 1 epoch; clipped" in text
    assert "2 cells (2 variants x 1 seed)" in text
    assert not re.search(r"\b1 (epochs|seeds|cells|variants)\b", text)


def test_plan_lists_the_papers_setting_without_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    study = ROOT / "studies" / "cmae_vs_mae.yaml"
    status, text, _ = call(capsys, "plan", study, "--scale", "paper", "--device", "cpu")
    assert status == 0
    words = ["tiny_imagenet", "200 classes", "at 224 pixels", "dim 768, depth 12, heads 12, patch 16"]
    words += ["300 epochs", "100 epochs", "85.65 M", "MAE (reference)", "CMAE"]
    assert [word for word in words if word not in text] == []


def test_status_of_a_study_that_never_ran_creates_nothing(
    tiny_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tiny_study.parent / "runs"
    status, text, _ = call(capsys, "status", tiny_study, "--out", out)
    assert status == 0
    assert "nothing has run yet" in text
    assert not out.exists()


def test_components_say_type_range_default_and_meaning_of_every_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from cmae_ablate.components.loading import load_components
    from cmae_ablate.components.registry import SLOTS, option_docs

    load_components()
    for registry in SLOTS.values():
        for component in registry:
            documented = option_docs(component)
            assert set(component.options.model_fields) <= set(documented), component
            assert all(documented.values()), component
    status, text, _ = call(capsys, "components", "moco_v3")
    assert status == 0
    assert "temperature" in text
    assert "> 0" in text
    assert "Source: MoCo v3, 0.2 for ViTs; SDMAE, 1." in " ".join(text.replace("│", " ").split())


def test_components_show_ranges_of_lists_and_defaults_as_a_study_writes_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    _, text, _ = call(capsys, "components", "contrastive")
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:5]]
        for line in text.splitlines()
        if len(cells := line.split("│")) == 7
    }
    assert rows["scale"] == ["list of numbers", "2, each > 0, ≤ 1", "[0.2, 1]"]
    assert rows["norm"] == ["boolean", "true, false", "false"]
    assert rows["threshold"] == ["number", "≥ 0, < 1", "0.1"]


def test_every_component_names_its_source_and_where_it_differs(capsys: pytest.CaptureFixture[str]) -> None:
    from cmae_ablate.components.loading import load_components
    from cmae_ablate.components.registry import SLOTS

    load_components()
    silent = [
        f"{slot}: {component.name}"
        for slot, registry in SLOTS.items()
        for component in registry
        for text in [" ".join((component.factory.__doc__ or "").split())]
        if "Source: " not in text or "Different here: " not in text
    ]
    assert silent == []
    _, text, _ = call(capsys, "components", "block")
    assert "BEiT, arXiv 2106.08254" in " ".join(text.split())


@pytest.mark.parametrize(("options", "name"), [([], "study"), (["--scale"], "scale")])
def test_the_schema_is_printed_or_written(
    options: list[str], name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, printed, _ = call(capsys, "schema", *options)
    assert (status, json.loads(printed)["title"]) == (0, f"cmae-ablate {name}")
    status, text, _ = call(capsys, "schema", *options, "--out", tmp_path / "a.json")
    assert (status, text, (tmp_path / "a.json").read_text()) == (0, "", printed)
    status, _, err = call(capsys, "schema", "--out", tmp_path)
    assert (status, "this is a folder" in err) == (2, True)


def test_a_report_needs_a_csv_alone(tiny_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        (variant, seed, "COMPLETE", 20 + seed + (variant == "linear"))
        for seed in (0, 1)
        for variant in ("depth 1", "linear")
    ]
    csv = tiny_study.parent / "mine.csv"
    pd.DataFrame(rows, columns=["variant", "seed", "state", "knn.top1"]).to_csv(csv, index=False)
    out = tiny_study.parent / "report"
    status, _, _ = call(capsys, "report", tiny_study, "--trials", csv, "--out", out)
    assert status == 0
    effects = pd.read_csv(out / "effects.csv").set_index("variant")
    assert list(effects.columns[:9]) == [
        "n",
        "mean",
        "std",
        "delta",
        "ci_low",
        "ci_high",
        "p",
        "p_holm",
        "dz",
    ]
    assert effects.loc["linear", "delta"] == 1.0
    assert (out / "index.html").is_file()


def test_doctor_looks_at_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    status, text, _ = call(capsys, "doctor")
    assert status in {0, 1}
    assert "torch" in text
    assert "data cache" in text
