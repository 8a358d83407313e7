"""Components that a script registers: a process that it starts knows them too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cmae_ablate.components.loading import MODULES_VARIABLE

ROOT = Path(__file__).parents[2]
[CHECKERBOARD] = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
WORKER = (
    "from cmae_ablate.components.loading import load_components; load_components(); "
    "from cmae_ablate.slots import MASKINGS; print(sorted(each.name for each in MASKINGS))"
)
SCRIPT = f"""
import os, subprocess, sys
import my_masks.checkerboard
from cmae_ablate.runner.own_components import known_to_workers
with known_to_workers():
    subprocess.run([sys.executable, "-c", {WORKER!r}], check=True)
print({MODULES_VARIABLE!r} in os.environ)
"""
REGISTERED_HERE = f"""
{CHECKERBOARD}
import cmae_ablate as ca
try:
    ca.load_study("decoder_size", settings={{"masking.name": "checkerboard"}}).run(out="runs", workers=2)
except ca.UserError as error:
    print(error)
"""


def called(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CMAE_ABLATE_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_worker_knows_what_a_module_beside_the_script_registers(tmp_path: Path) -> None:
    scripts, elsewhere = tmp_path / "scripts", tmp_path / "elsewhere"
    (scripts / "my_masks").mkdir(parents=True)
    elsewhere.mkdir()
    (scripts / "my_masks" / "__init__.py").touch()
    (scripts / "my_masks" / "checkerboard.py").write_text(CHECKERBOARD, encoding="utf-8")
    (scripts / "study.py").write_text(SCRIPT, encoding="utf-8")
    done = called(elsewhere, str(scripts / "study.py"))
    assert done.stdout == "['block', 'checkerboard', 'grid', 'random']\nFalse\n", done.stderr


def test_a_component_of_the_script_itself_is_refused_with_what_to_do(tmp_path: Path) -> None:
    done = called(tmp_path, "-c", REGISTERED_HERE)
    assert "workers cannot import; move it into a module of its own" in done.stdout, done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_module_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODULES_VARIABLE, "no_such_module")
    done = called(tmp_path, "-m", "cmae_ablate", "components", "random")
    assert done.returncode == 2
    assert "CMAE_ABLATE_COMPONENTS: 'no_such_module' cannot be loaded: ModuleNotFoundError" in done.stderr
    assert "Traceback" not in done.stderr
