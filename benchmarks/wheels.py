"""The wheels that `make bench-gpu` needs beside PyTorch, in a folder, for a machine without network.

Run:   scripts/gpu_wheels FOLDER [--study] [--python 3.12] [--have PACKAGE ...]     where there is a network
Expected:   under 60 MiB. torch and torchvision are taken to be there with all that they need, as they must
suit the machine's driver; of everything else the versions are those installed here. Where the machine has
the large ones, 8 MiB are enough: --have numpy pillow psutil pytest safetensors scipy timm filelock

--study brings what `cmae-ablate run` needs, too, but for MLflow, without which a study trains. Most of it is
pandas, matplotlib, statsmodels and scikit-learn: name with --have those that are there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

WANTED = (
    "docstring-parser",
    "filelock",
    "numpy",
    "optuna",
    "pillow",
    "platformdirs",
    "psutil",
    "pydantic",
    "pytest",
    "ruamel.yaml",
    "safetensors",
    "scipy",
    "timm",
)
"""What a pretraining, its benchmarks and the tests that need CUDA import; trackers and tables are not."""
OPTIONAL = (canonicalize_name("mlflow"),)
"""What a study trains without: it says that no runs are kept."""
PROJECT = Path(__file__).parents[1] / "pyproject.toml"
THERE = ("torch", "torchvision")
LIMIT = 60 * 2**20
GLIBC = (28, 27, 24, 17)
"""Minor versions that wheels for Linux are built for."""

Requires = Callable[[str], Iterable[str]]


def installed(name: str) -> tuple[str, ...]:
    """What an installed package asks for, as it says; nothing where it is not there."""
    try:
        return tuple(distribution(name).requires or ())
    except PackageNotFoundError:
        return ()


def closure(names: Iterable[str], requires: Requires = installed) -> set[str]:
    """Packages and all that they need here, without extras, by their normalised names."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        for text in requires(name):
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def of_study() -> set[str]:
    """What this package asks for, with all that they need, but for what a study trains without."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    asked = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    return closure(asked - set(OPTIONAL))


def needed(have: Iterable[str], *, study: bool = False) -> list[str]:
    """Packages to bring, as `name==version`; for whole studies, too, or for benchmarks alone."""
    wanted = closure(WANTED) | (of_study() if study else set())
    names = sorted(wanted - closure([*THERE, *have]))
    return [f"{name}=={distribution(name).version}" for name in names]


def download(packages: list[str], folder: Path, python: str) -> None:
    """Fetch wheels for Linux on x86-64.

    Raises:
        SystemExit: pip finds one of them nowhere.
    """
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in GLIBC] + ["manylinux2014_x86_64"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation", "cp", "--dest", str(folder)]
    command += [word for platform in platforms for word in ("--platform", platform)]
    if subprocess.run([*command, *packages], check=False).returncode:
        raise SystemExit(f"pip could not fetch all of {', '.join(packages)}")


def check_size(folder: Path) -> str:
    """How large it came out.

    Raises:
        SystemExit: Above 60 MiB, the most that may travel.
    """
    sizes = {path.name: path.stat().st_size for path in folder.glob("*.whl")}
    total = sum(sizes.values())
    if total > LIMIT:
        largest = ", ".join(
            f"{name} {size / 2**20:.0f} MiB"
            for name, size in sorted(sizes.items(), key=lambda one: -one[1])[:3]
        )
        raise SystemExit(
            f"{folder}: {total / 2**20:.0f} MiB, more than {LIMIT // 2**20}; "
            f"name with --have what the machine has already; the largest: {largest}"
        )
    return f"{folder}: {len(sizes)} wheels, {total / 2**20:.0f} MiB"


def main(words: list[str] | None = None) -> None:
    """Fetch what is needed into an empty folder."""
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="gpu_wheels", description=__doc__, formatter_class=as_written)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--study", action="store_true", help="what `cmae-ablate run` needs, too")
    parser.add_argument("--python", default="3.12", help="the other machine's version")
    parser.add_argument("--have", nargs="*", default=[], help="what it has beside torch and torchvision")
    arguments = parser.parse_args(words)
    if arguments.folder.is_dir() and any(arguments.folder.iterdir()):
        parser.error(f"{arguments.folder} is not empty: two versions of a package would meet there")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    download(needed(arguments.have, study=arguments.study), arguments.folder, arguments.python)
    print(check_size(arguments.folder))


if __name__ == "__main__":
    main()
