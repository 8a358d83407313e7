"""The component that CONTRIBUTING shows is built into a second package, installed, and used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "cmae-ablate-checkerboard"
version = "1.0"

"""


def blocks(language: str) -> list[str]:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Installs the second package into a folder of its own, and puts that folder on the path."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "my_package").mkdir()
    (source / "my_package" / "__init__.py").touch()
    (source / "my_package" / "checkerboard.py").write_text(blocks("python")[0])
    (source / "pyproject.toml").write_text(
        PYPROJECT + blocks("toml")[0] + '\n[tool.hatch.build.targets.wheel]\npackages = ["my_package"]\n'
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            target,
            source,
        ],
        check=True,
        capture_output=True,
    )
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(target), str(ROOT)])}


def cli(*arguments: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cmae_ablate", *arguments]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False)


def test_an_installed_package_adds_a_component_with_its_options(
    environment: dict[str, str], tmp_path: Path
) -> None:
    shown = cli("components", "checkerboard", env=environment, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "Keep one patch in `period`" in shown.stdout
    assert "≥ 2, ≤ 16" in shown.stdout


def test_a_study_can_vary_the_added_component_and_its_options_are_checked(
    environment: dict[str, str], tiny_study: Path
) -> None:
    good = cli(
        "plan", tiny_study.name, "--set", "masking.name=checkerboard", env=environment, cwd=tiny_study.parent
    )
    assert good.returncode == 0, good.stderr
    wrong = ["--set", "masking.name=checkerboard", "--set", "masking.period=99"]
    bad = cli("plan", tiny_study.name, *wrong, env=environment, cwd=tiny_study.parent)
    assert bad.returncode == 2
    assert bad.stderr.startswith("--set masking.period=99: ")


def test_without_the_package_the_name_is_refused(tiny_study: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    bad = cli("plan", tiny_study.name, "--set", "masking.name=checkerboard", env=env, cwd=tiny_study.parent)
    assert bad.returncode == 2
    assert "no masking is called 'checkerboard'" in bad.stderr


OWN_PAGE = ROOT / "docs" / "how-to" / "own-component.md"
STRIPES = """\
question: Do stripes need a decoder?
design: one_factor
scale: cpu
factors:
  decoder:
    path: decoder
    levels: {one block: {name: transformer, depth: 1}, linear: {name: linear}}
reference: {decoder: one block}
seeds: 2
metric: class_means.top1
positive_control: none
set:
  dataset: {name: stripes}
  backbone: {dim: 24, depth: 1, heads: 2, patch: 8}
  training: {epochs: 1, warmup_epochs: 0, batch_size: 64}
  evaluations.class_means: {name: class_means}
"""


def test_a_data_set_and_an_evaluation_of_the_page_are_a_study(tmp_path: Path) -> None:
    data_set, evaluation = re.findall(r"```python\n(.*?)```", OWN_PAGE.read_text(), flags=re.DOTALL)
    (tmp_path / "stripes.py").write_text(data_set)
    (tmp_path / "class_means.py").write_text(evaluation)
    (tmp_path / "needed.yaml").write_text(STRIPES)
    modules, path = "stripes,class_means", os.pathsep.join([str(tmp_path), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "CMAE_ABLATE_COMPONENTS": modules}
    env["CMAE_ABLATE_CACHE"] = str(tmp_path / "cache")
    done = cli("run", "needed.yaml", "--workers", "1", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trials = pd.read_csv(tmp_path / "runs" / "needed" / "trials.csv")
    assert (trials["class_means.top1"] > 60).all()  # half of them by chance
    [prepared] = (path for path in (tmp_path / "cache").glob("stripes-v1-*") if path.is_dir())
    (tmp_path / "stripes.py").write_text(data_set.replace("version=1", "version=2").replace("60 *", "5 *"))
    shown = cli("data", "prepare", "stripes", env=env, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "cache" / prepared.name.replace("v1", "v2")).is_dir()
    left = cli("status", "needed.yaml", env=env, cwd=tmp_path)
    assert "(other images)" in left.stdout
    assert "nothing has run with the options given now" in left.stdout
