"""On what machine, with which versions, from which commit: for the record beside every result."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from cmae_ablate.runner.hardware import gpu_titles, processor_model
from cmae_ablate.runtime import may_have_gpu

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
    known = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            known[package] = "not installed as a package"
    known["processor"] = f"{processor_model()}, {os.cpu_count()} cores"
    known["device"] = _gpu() or "cpu"
    known["git"] = git_state()
    return known


def _gpu() -> str:
    """The names of those that torch can compute on; empty where there are none."""
    if not may_have_gpu():
        return ""
    import torch

    return gpu_titles() if torch.cuda.is_available() else ""


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
