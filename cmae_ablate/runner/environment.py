"""On what machine, with which versions, from which commit: for the record beside every result."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from cmae_ablate.runner.hardware import processor

PACKAGES = (
    "cmae-ablate",
    "torch",
    "torchvision",
    "timm",
    "optuna",
    "mlflow",
    "numpy",
    "scipy",
    "statsmodels",
)


def describe_environment() -> dict[str, str]:
    """Versions, processor, device and git state, as texts by name."""
    import torch

    known = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            known[package] = "not installed as a package"
    known["processor"] = f"{processor()}, {os.cpu_count()} cores"
    known["device"] = _gpus() if torch.cuda.is_available() else "cpu"
    known["git"] = git_state()
    return known


def _gpus() -> str:
    """Told by the driver's own program: torch would open a GPU that this process does not compute on."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return "cuda"
    return ", ".join(dict.fromkeys(line.strip() for line in told.splitlines()))


def git_state() -> str:
    """Commit of the working directory, and whether anything was changed since; empty outside a repository."""
    try:
        commit = _git("rev-parse", "HEAD")
        return (
            f"{commit[:12]}{' with changes' if _git('status', '--porcelain', '--untracked-files=no') else ''}"
        )
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
