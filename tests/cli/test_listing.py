"""The front door: names of studies, help and completion, before anything heavy is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "pandas", "optuna", "mlflow", "matplotlib", "timm")


def call(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command in an empty folder, and on the last line of its errors what heavy it has imported."""
    script = (
        "import sys\nfrom cmae_ablate.cli.app import main\ntry:\n    main()\nfinally:\n"
        f"    print(*(m for m in {HEAVY} if m in sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", **variables}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["run", "-h"], ["data", "prepare", "-h"]])
def test_help_is_there_at_once_with_h_too(arguments: list[str], tmp_path: Path) -> None:
    done = call(tmp_path, *arguments)
    assert done.returncode == 0
    assert "Usage" in done.stdout
    assert done.stderr == "\n"


def test_studies_lists_names_questions_and_costs_at_once(tmp_path: Path) -> None:
    done = call(tmp_path, "studies")
    assert done.returncode == 0
    row = next(line for line in done.stdout.splitlines() if "decoder_size" in line)
    assert "How small can the decoder be" in row
    assert "15 minutes of processor time" in row
    assert done.stderr == "\n"


def test_studies_with_a_name_prints_the_file_to_the_letter(tmp_path: Path) -> None:
    done = call(tmp_path, "studies", "crop")
    assert done.stdout == (ROOT / "studies" / "crop.yaml").read_text()


@pytest.mark.parametrize("command", ["run", "plan", "worker", "status", "report", "studies"])
def test_an_unknown_name_is_one_line_status_2_and_nothing_heavy(command: str, tmp_path: Path) -> None:
    done = call(tmp_path, command, "decoder_sise")
    assert done.returncode == 2
    *_, said, heavy = done.stderr.splitlines()
    assert said == (
        "decoder_sise: there is no such file, and no study is called so; did you mean 'decoder_size'?"
    )
    assert heavy == ""
    assert not any(tmp_path.iterdir())


def test_a_study_called_by_name_is_loaded_in_an_empty_folder(tmp_path: Path) -> None:
    done = call(tmp_path, "report", "decoder_size")
    assert "decoder_size: nothing is complete yet in runs; run it first: cmae-ablate run" in done.stdout


def test_the_shell_completes_names_of_studies(tmp_path: Path) -> None:
    variables = {
        "_CMAE_ABLATE_COMPLETE": "complete_bash",
        "COMP_WORDS": "cmae-ablate run dec",
        "COMP_CWORD": "2",
    }
    command = [str(Path(sys.executable).with_name("cmae-ablate"))]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["decoder_size"]
