"""What torch.compile needs on a GPU is tried for real, with compilers and packages made for the test."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmae_ablate.cli import toolchain as tools
from cmae_ablate.cli.finding import Finding
from cmae_ablate.cli.toolchain import toolchain


def found(has_gpu: bool = True) -> dict[str, Finding]:
    return {each.what: each for each in toolchain(has_gpu)}


@pytest.fixture
def triton(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of that name with a CUDA header, instead of whatever is installed."""
    package = tmp_path / "site" / "triton"
    (package / "backends" / "nvidia" / "include").mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '3.9'\n")
    (package / "backends" / "nvidia" / "include" / "cuda.h").touch()
    monkeypatch.syspath_prepend(package.parent)
    for name in [name for name in sys.modules if name.partition(".")[0] == "triton"]:
        monkeypatch.delitem(sys.modules, name)
    yield package
    sys.modules.pop("triton", None)


@pytest.fixture
def headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for Python's headers."""
    folder = tmp_path / "python"
    folder.mkdir()
    (folder / "Python.h").touch()
    monkeypatch.setattr(tools.sysconfig, "get_paths", lambda: {"include": str(folder)})
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("CUDA_PATH", raising=False)
    return folder


needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler here")


@needs_gcc
@pytest.mark.usefixtures("headers", "triton")
def test_where_everything_is_there_nothing_is_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    looked_at = found()
    assert [each.remedy for each in looked_at.values()] == [""] * 4
    assert looked_at["Triton"].state == "3.9"
    assert looked_at["C compiler"].state == shutil.which("gcc")


@needs_gcc
@pytest.mark.parametrize(("header", "what"), [("Python.h", "Python headers"), ("cuda.h", "CUDA headers")])
def test_a_header_that_is_missing_is_named_with_its_remedy(
    header: str, what: str, headers: Path, triton: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    for folder in (headers, triton / "backends" / "nvidia" / "include"):
        (folder / header).unlink(missing_ok=True)
    looked_at = found()
    assert {name for name, each in looked_at.items() if each.remedy} == {what}
    assert header in looked_at[what].state
    assert "install" in looked_at[what].remedy
    assert looked_at[what].remedy.endswith("or run with --set training.compile=false")


def test_without_a_compiler_one_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found()["C compiler"].remedy.startswith("apt-get install gcc, or set CC")
    assert "CUDA headers" not in found()


def test_a_compiler_that_fails_is_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'cc1: error: no such processor' >&2\nexit 4\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    compiler = found()["C compiler"]
    assert compiler.state == f"{broken}: does not compile (cc1: error: no such processor)"
    assert compiler.remedy
    monkeypatch.setenv("CC", str(tmp_path / "absent"))
    assert "does not compile" in found()["C compiler"].state


def test_a_triton_that_does_not_load_is_not_taken_for_one(
    triton: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (triton / "__init__.py").write_text("raise OSError('libtriton.so: wrong ELF class')\n")
    looked_at = found()["Triton"]
    assert looked_at.state == "cannot be imported (OSError: libtriton.so: wrong ELF class)"
    assert looked_at.remedy.startswith("pip install triton")


def test_a_machine_without_a_gpu_compiles_nothing_and_lacks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    looked_at = found(has_gpu=False)
    assert all(each.optional for each in looked_at.values())
    assert looked_at["C compiler"].remedy.startswith("training.compile on a GPU: ")
