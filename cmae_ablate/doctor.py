"""`doctor`: whether this machine can run studies, and what to do where it cannot."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table

from cmae_ablate.arrays import cache_root
from cmae_ablate.environment import describe_environment

FREE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        what: Its name.
        state: What was found.
        remedy: What to do; empty where all is well.
    """

    what: str
    state: str
    remedy: str = ""


def examine(console: Console) -> int:
    """Look at everything and print it.

    Returns:
        0 when all is well, 1 when something should be done.
    """
    checks: list[Callable[[], list[Finding]]] = [_python, _packages, _devices, _threads, _folders]
    findings = [finding for check in checks for finding in check()]
    table = Table("what", "found", "what to do")
    for finding in findings:
        table.add_row(finding.what, finding.state, finding.remedy or "nothing")
    console.print(table)
    return 1 if any(finding.remedy for finding in findings) else 0


def _python() -> list[Finding]:
    found = sys.version.split()[0]
    remedy = "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer"
    return [Finding("python", found, remedy)]


def _packages() -> list[Finding]:
    try:
        wanted = [Requirement(text) for text in requires("cmae-ablate") or []]
    except PackageNotFoundError:
        return [Finding("cmae-ablate", "not installed", "pip install .")]
    findings = []
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            findings.append(Finding(requirement.name, "missing", f"pip install '{requirement}'"))
            continue
        fits = requirement.specifier.contains(found, prereleases=True)
        findings.append(Finding(requirement.name, found, "" if fits else f"pip install '{requirement}'"))
    return findings


def _devices() -> list[Finding]:
    import torch

    if not torch.cuda.is_available():
        return [Finding("device", "CPU only; studies at the cpu scale take minutes, others days")]
    return [
        Finding(f"cuda:{index}", f"{properties.name}, {properties.total_memory / 1e9:.0f} GB")
        for index in range(torch.cuda.device_count())
        for properties in [torch.cuda.get_device_properties(index)]
    ]


def _threads() -> list[Finding]:
    cores = len(os.sched_getaffinity(0))
    return [Finding("cores", f"{cores}; {describe_environment()['processor']}")]


def _folders() -> list[Finding]:
    return [
        _folder("working directory", Path.cwd(), "--out"),
        _folder("data cache", cache_root(), "CMAE_ABLATE_CACHE"),
    ]


def _folder(what: str, path: Path, setting: str) -> Finding:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    state = f"{path}: {free / 1e9:.0f} GB free"
    if not os.access(existing, os.W_OK):
        return Finding(what, f"{path}: not writable", f"set {setting} to a folder that is")
    return Finding(what, state, "" if free > FREE_BYTES else f"free some space, or set {setting}")
