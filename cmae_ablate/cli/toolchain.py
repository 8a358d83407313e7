"""What torch.compile needs on a GPU: Triton, and a C compiler that finds the headers which Triton includes.

Triton builds its launcher with that compiler at the first compiled step, minutes into a run: here it is tried
beforehand, on a file that includes the same headers.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from cmae_ablate.cli.finding import Finding

COMPILERS = ("gcc", "clang")
"""As Triton looks for one, after CC."""
PURPOSE = "training.compile on a GPU"
UNLESS = "or run with --set training.compile=false"
HEADERS = {
    "Python.h": ("Python headers", "apt-get install python3-dev (of this very Python)"),
    "cuda.h": (
        "CUDA headers",
        "pip install --force-reinstall triton, whose wheel has them, or set CUDA_HOME",
    ),
}
SECONDS = 60.0


def toolchain(has_gpu: bool) -> list[Finding]:
    """Triton, the compiler and the headers; all of them optional where nothing is compiled.

    Args:
        has_gpu: Whether torch has a GPU to compute on.
    """
    found = [_triton(), *_compiler()]
    if has_gpu:
        return [Finding(each.what, each.state, _unless(each.remedy)) for each in found]
    return [
        Finding(each.what, each.state, each.remedy and f"{PURPOSE}: {each.remedy}", optional=True)
        for each in found
    ]


def _unless(remedy: str) -> str:
    return remedy and f"{remedy}, {UNLESS}"


def _triton() -> Finding:
    """Imported, not looked for: a wheel for another system is found, and does not load."""
    try:
        import triton
    except Exception as error:
        is_there = isinstance(error, ModuleNotFoundError) and error.name == "triton"
        state = "not installed" if is_there else f"cannot be imported ({type(error).__name__}: {error})"
        return Finding("Triton", state, "pip install triton, of the version that torch requires")
    return Finding("Triton", str(triton.__version__))


def _compiler() -> list[Finding]:
    command = (
        shlex.split(os.environ.get("CC", ""))
        or [path for path in map(shutil.which, COMPILERS) if path is not None][:1]
    )
    remedy = "apt-get install gcc, or set CC to a C compiler"
    if not command:
        return [Finding("C compiler", "none found", remedy)]
    name = shlex.join(command)
    refusal = _refusal(command, "int main(void) { return 0; }\n")
    if refusal is not None:
        return [Finding("C compiler", f"{name}: does not compile ({refusal})", remedy)]
    return [Finding("C compiler", name), *(_header(command, header) for header in HEADERS)]


def _header(command: list[str], header: str) -> Finding:
    what, remedy = HEADERS[header]
    refusal = _refusal(command, f"#include <{header}>\nint main(void) {{ return 0; }}\n")
    return Finding(what, header) if refusal is None else Finding(what, f"not found ({refusal})", remedy)


def _refusal(command: list[str], source: str) -> str | None:
    """What the compiler says against a program; None where it compiles."""
    with TemporaryDirectory(prefix="cmae-ablate-") as folder:
        file = Path(folder) / "tried.c"
        file.write_text(source)
        included = [f"-I{path}" for path in _include_folders()]
        try:
            done = subprocess.run(
                [*command, "-c", str(file), "-o", str(file.with_suffix(".o")), *included],
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return f"{type(error).__name__}: {error}"
        said = done.stderr.strip().splitlines()
        if done.returncode == 0:
            return None
        return next((line for line in said if "error" in line), *(said[-1:] or [f"status {done.returncode}"]))


def _include_folders() -> list[Path]:
    """Where Triton lets its compiler look: Python's headers, its own copy of CUDA's, and the system's."""
    folders = [Path(sysconfig.get_paths()["include"])]
    spec = find_spec("triton")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "backends" / "nvidia" / "include")
    if home := os.environ.get("CUDA_HOME", os.environ.get("CUDA_PATH")):
        folders.append(Path(home) / "include")
    return folders
