"""The installed package in an empty folder: what comes along is found there, by the command's workers too."""

from __future__ import annotations

import json
import os
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
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The wheel, installed into a folder of its own that is first on the path."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--target", site, ROOT], check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "160"}


def call(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_packaged_studies_and_types_come_along(environment: dict[str, str], tmp_path: Path) -> None:
    script = (
        "import cmae_ablate, pathlib, sys; from cmae_ablate.study.finding import PACKAGED, study_names;"
        "home = pathlib.Path(cmae_ablate.__file__).parent; import json;"
        "print(json.dumps([str(home), str(PACKAGED), study_names(), (home / 'py.typed').is_file()]))"
    )
    home, packaged, names, is_typed = json.loads(call(tmp_path, environment, "-c", script).stdout)
    assert home.startswith(environment["PYTHONPATH"])
    assert packaged == f"{home}/studies"
    assert names == sorted(path.stem for path in (ROOT / "studies").glob("*.yaml"))
    assert is_typed


@pytest.mark.slow
def test_a_study_called_by_name_runs_with_two_workers_and_is_read_from_python(
    environment: dict[str, str], tmp_path: Path
) -> None:
    settings = [text for setting in TINY for text in ("--set", setting)]
    options = ["--workers", "2", "--device", "cpu", "--seeds", "1", *settings]
    done = call(tmp_path, environment, "-m", "cmae_ablate", "run", "decoder_size", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "runs" / "decoder_size" / "index.html").read_text()
    assert "cmae-ablate run decoder_size --device cpu" in page
    script = "import cmae_ablate as ca; print(ca.load_result('decoder_size').trials['state'].tolist())"
    assert call(tmp_path, environment, "-c", script).stdout == f"{['COMPLETE'] * 4}\n"


@pytest.mark.slow
def test_a_study_called_by_name_runs_from_python_with_two_workers(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "study.py").write_text(
        "import cmae_ablate as ca\n"
        f"settings = dict(text.split('=', 1) for text in {TINY!r})\n"
        "study = ca.load_study('decoder_size', settings=settings, seeds=1)\n"
        "result = study.run(workers=2, device='cpu')\n"
        "print(result.trials['state'].tolist(), len(result.effects), result.answer['metric'])\n"
    )
    done = call(tmp_path, environment, "study.py")
    assert done.stdout.splitlines()[-1] == f"{['COMPLETE'] * 4} 4 linear_probe.top1", done.stderr
