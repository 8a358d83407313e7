"""What strangers send cannot run code, and what is ours to keep stays ours."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import pickle
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import torch

from cmae_ablate import checkpoint
from cmae_ablate.components import registry
from cmae_ablate.errors import UserError, is_full
from cmae_ablate.runner.launch.ray import _offer_token
from cmae_ablate.runner.options import Options
from cmae_ablate.study.loading import load

PACKAGE = Path(registry.__file__).parents[1]
SECRET = "hunter2"


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.marker,)


def calls() -> list[tuple[str, str, set[str]]]:
    """Every call in the package: the file, the dotted name, and its keywords as `name=value`."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                keywords = {f"{word.arg}={ast.unparse(word.value)}" for word in node.keywords}
                found.append((str(path.relative_to(PACKAGE)), ast.unparse(node.func), keywords))
    return found


def test_nothing_in_the_package_reads_what_could_run() -> None:
    found = calls()
    loads = [keywords for _, name, keywords in found if name == "torch.load"]
    assert len(loads) == 2
    assert all("weights_only=True" in keywords for keywords in loads)
    assert not [name for _, name, keywords in found if "allow_pickle=True" in keywords]
    forbidden = {"eval", "exec", "pickle.load", "pickle.loads", "np.fromfile", "yaml.load", "joblib.load"}
    forbidden |= {"pd.read_pickle", "os.system", "marshal.loads", "shelve.open", "__import__"}
    assert not [(file, name) for file, name, _ in found if name in forbidden]
    assert not [file for file, _, keywords in found if "shell=True" in keywords]
    assert {keyword for _, name, words in found if name.endswith("YAML") for keyword in words} == {
        "typ='safe'",
        "pure=True",
    }


def test_modules_are_imported_by_entry_point_only() -> None:
    imports = {file for file, name, _ in calls() if "import_module" in name or name.endswith("point.load")}
    assert imports == {"components/loading.py"}
    assert all(
        ":" in point.value or "." in point.value for point in entry_points(group="cmae_ablate.components")
    )


def test_a_checkpoint_from_a_stranger_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    buffer = io.BytesIO()
    torch.save({"model": Bomb(marker)}, buffer)
    content = buffer.getvalue()
    path = tmp_path / "step-000000001.pt"
    path.write_bytes(content)
    path.with_suffix(".sha256").write_text(
        hashlib.sha256(content).hexdigest()
    )  # the stranger knows this, too
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.load_latest(tmp_path, pytest.fail)
    assert not marker.exists()


def test_predictions_from_a_stranger_run_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    np.save(tmp_path / "knn.npy", np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        np.load(tmp_path / "knn.npy")
    assert not marker.exists()


@pytest.mark.parametrize(
    "value",
    ['!!python/object/apply:os.system ["touch MARKER"]', "!!python/name:os.system", "!Path MARKER"],
)
def test_a_study_file_from_a_stranger_runs_nothing(value: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    study = tmp_path / "study.yaml"
    study.write_text(f"question: {value.replace('MARKER', str(marker))}\n")
    with pytest.raises(UserError, match=r"study\.yaml:1:"):
        load(study)
    assert not marker.exists()


def test_a_password_is_in_no_argument_and_no_recorded_command(tiny_study: Path) -> None:
    url = f"postgresql://me:{SECRET}@host/db"
    options = Options(tiny_study, storage=url, tracking=f"https://me:{SECRET}@host")
    assert SECRET not in " ".join(options.arguments())
    assert SECRET not in options.command
    secrets = {value for value in options.environment().values() if SECRET in value}
    assert secrets == {url, f"https://me:{SECRET}@host"}


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(122, "Disk quota exceeded"),
        RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter: No space left on device"),
    ],
)
def test_a_full_disk_is_known_under_every_name_even_as_a_cause(error: Exception) -> None:
    assert is_full(error)
    wrapped = ValueError("could not be saved")
    wrapped.__cause__ = error
    assert is_full(wrapped)
    assert not is_full(OSError(13, "Permission denied"))


def test_a_token_of_our_own_ray_cluster_is_its_owners_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAY_AUTH_MODE", "")  # so that it is put back
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "")
    _offer_token(tmp_path / "logs")
    token = tmp_path / "logs" / "ray_token"
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(token)
    assert len(token.read_text()) == 64
    assert token.stat().st_mode & 0o077 == 0
