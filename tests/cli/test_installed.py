"""The wheel in a fresh virtual environment and an empty folder: all is found there, by workers too."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = [
    "dataset={name: scenes, num_train: 64, num_validation: 32, num_test: 32, image_size: 32}",
    "backbone={name: vit, dim: 32, depth: 1, heads: 2, patch: 8}",
    "training={epochs: 1, batch_size: 16, warmup_epochs: 0.5}",
    "evaluations.knn.k=3",
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel; dependencies are those of the tests, not fetched again."""
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", place, ROOT], check=True, capture_output=True)
    [wheel] = place.glob("*.whl")
    command = [sys.executable, "-m", "pip", "--python", place, "install", "--quiet", "--no-deps", wheel]
    subprocess.run(command, check=True, capture_output=True)
    [own] = place.glob("lib/*/site-packages")
    # After its own: folders named there are searched last, and what they link to in turn is not.
    others = [path for path in sys.path if path.endswith("-packages")]
    (own / "dependencies.pth").write_text("\n".join(others))
    return place


def call(folder: Path, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    return subprocess.run(
        [program, *arguments],
        cwd=folder,
        env={**clean, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_installed_command_lists_its_studies_in_an_empty_folder(
    environment: Path, tmp_path: Path
) -> None:
    done = call(tmp_path, environment / "bin" / "cmae-ablate", "studies")
    assert done.returncode == 0, done.stderr
    for path in (ROOT / "studies").glob("*.yaml"):
        assert path.stem in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_installed_command_plans_a_study_by_its_name(environment: Path, tmp_path: Path) -> None:
    options = ["--set", "training.epochs=1", "--seeds", "2", "--device", "cpu"]
    done = call(tmp_path, environment / "bin" / "cmae-ablate", "plan", "decoder_size", *options)
    assert done.returncode == 0, done.stderr
    assert "8 cells (4 variants x 2 seeds)" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_packaged_studies_and_types_come_along(environment: Path, tmp_path: Path) -> None:
    script = (
        "import cmae_ablate, pathlib, sys; from cmae_ablate.study.finding import PACKAGED, study_names;"
        "home = pathlib.Path(cmae_ablate.__file__).parent; import json;"
        "print(json.dumps([str(home), str(PACKAGED), study_names(), (home / 'py.typed').is_file()]))"
    )
    found = call(tmp_path, environment / "bin" / "python", "-c", script)
    home, packaged, names, is_typed = json.loads(found.stdout)
    assert home.startswith(str(environment))
    assert packaged == f"{home}/studies"
    assert names == sorted(path.stem for path in (ROOT / "studies").glob("*.yaml"))
    assert is_typed


@pytest.mark.slow
def test_a_study_called_by_name_runs_with_two_workers_and_is_read_from_python(
    environment: Path, tmp_path: Path
) -> None:
    settings = [text for setting in TINY for text in ("--set", setting)]
    options = ["--workers", "2", "--device", "cpu", "--seeds", "2", *settings]
    done = call(tmp_path, environment / "bin" / "cmae-ablate", "run", "decoder_size", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "runs" / "decoder_size" / "index.html").read_text()
    assert "cmae-ablate run decoder_size --device cpu" in page
    script = "import cmae_ablate as ca; print(ca.load_result('decoder_size').trials['state'].tolist())"
    found = call(tmp_path, environment / "bin" / "python", "-c", script)
    assert found.stdout == f"{['COMPLETE'] * 8}\n"


@pytest.mark.slow
def test_a_study_called_by_name_runs_from_python_with_two_workers(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(
        "import cmae_ablate as ca\n"
        f"settings = dict(text.split('=', 1) for text in {TINY!r})\n"
        "study = ca.load_study('decoder_size', settings=settings, seeds=1)\n"
        "result = study.run(workers=2, device='cpu')\n"
        "print(result.trials['state'].tolist(), len(result.effects), result.answer['metric'])\n"
    )
    done = call(tmp_path, environment / "bin" / "python", "study.py")
    assert done.stdout.splitlines()[-1] == f"{['COMPLETE'] * 4} 4 attentive_probe.top1", done.stderr


@pytest.mark.slow
def test_the_first_lines_of_the_readme_run_as_they_stand(environment: Path, tmp_path: Path) -> None:
    """The command for one epoch, then README's Python, which finds the same cells complete."""
    options = ["--set", "training.epochs=1", "--seeds", "2"]
    done = call(tmp_path, environment / "bin" / "cmae-ablate", "run", "decoder_size", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [lines] = re.findall(r"^```python\n(.*?)^```", readme, flags=re.DOTALL | re.MULTILINE)
    assert 'settings={"training.epochs": 1}, seeds=2' in lines
    (tmp_path / "readme.py").write_text(lines, encoding="utf-8")
    done = call(tmp_path, environment / "bin" / "python", "readme.py")
    assert done.returncode == 0, done.stderr
    assert "attentive probe top-1" in done.stdout
    assert str(tmp_path / "runs" / "decoder_size") in done.stdout
    # Nothing is trained twice.
    assert re.search(r"all \d+ cells .*are complete; nothing to train", done.stdout + done.stderr)
