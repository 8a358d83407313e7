"""`doctor`: whether this machine can run studies, and what to do where it cannot."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import TemporaryFile

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from rich.console import Console

from cmae_ablate.cli.finding import Finding
from cmae_ablate.cli.toolchain import toolchain
from cmae_ablate.files import cache_root
from cmae_ablate.runner.hardware import processor
from cmae_ablate.terminal import say, say_table

FREE_BYTES = 2_000_000_000
MEMORY_BYTES = 2_000_000_000
EXTRAS = (
    ("ray", "--launcher ray", "pip install 'cmae-ablate[cluster]'"),
    ("psycopg", "--storage postgresql://...", "pip install 'cmae-ablate[cluster]'"),
    ("psycopg2-binary", "--tracking-uri postgresql://...", "pip install 'cmae-ablate[cluster]'"),
    ("transformers", "tests against Hugging Face's ViTMAE", "pip install 'cmae-ablate[dev]'"),
)
PROGRAMS = (
    (("chromium", "chromium-browser", "google-chrome"), "tests of the page", "apt-get install chromium"),
    (("pdflatex",), "compiling table.tex, and its test", "apt-get install texlive-latex-recommended"),
)


def examine(out: Path, console: Console) -> int:
    """Look at everything and print it.

    Args:
        out: Where studies would keep their state.
        console: Where to print.

    Returns:
        0 when studies can run, 1 when something should be done first.
    """
    devices = _devices()
    findings = [
        *_python(),
        *_packages(),
        *_pair(),
        *devices,
        *toolchain(has_gpu=any(each.what.startswith("cuda:") for each in devices)),
        *_cores(),
        _folder("--out", out, "another --out"),
        _folder("data cache", cache_root(), "CMAE_ABLATE_CACHE to a folder that has room"),
        *_extras(),
    ]
    rows = [
        (each.what, each.state, f"for {each.remedy}" if each.optional and each.remedy else each.remedy)
        for each in findings
    ]
    say_table(("what", "found", "what to do"), rows, console)
    wrong = [finding for finding in findings if finding.remedy and not finding.optional]
    for finding in wrong:
        told = f"{finding.what}: {finding.state}; {finding.remedy}"
        say(told, console)
    if not wrong:
        say("this machine can run studies", console)
    return 1 if wrong else 0


def _python() -> list[Finding]:
    found = sys.version.split()[0]
    remedy = "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer"
    return [Finding("python", found, remedy)]


def _packages() -> list[Finding]:
    try:
        wanted = [Requirement(text) for text in requires("cmae-ablate") or []]
    except PackageNotFoundError:
        return [Finding("cmae-ablate", "not installed", "pip install .")]
    findings = [Finding("cmae-ablate", version("cmae-ablate"))]
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


def _pair() -> list[Finding]:
    """Every torchvision is built for one torch; pip does not always keep the two together."""
    try:
        torch, torchvision = version("torch"), version("torchvision")
        wanted = [Requirement(text) for text in requires("torchvision") or []]
    except PackageNotFoundError:
        return []  # said above
    built_for = next((str(each.specifier) for each in wanted if each.name == "torch"), "")
    remedy = f"pip install 'torch{built_for}' 'torchvision=={torchvision}'"
    if not SpecifierSet(built_for).contains(torch, prereleases=True):
        return [Finding("torch + torchvision", f"torchvision {torchvision} needs torch{built_for}", remedy)]
    builds = [Version(text).local for text in (torch, torchvision)]
    if None not in builds and builds[0] != builds[1]:
        state = f"one is built for {builds[0]}, the other for {builds[1]}"
        return [Finding("torch + torchvision", state, f"{remedy} from one index")]
    return [Finding("torch + torchvision", "made for each other")]


def _devices() -> list[Finding]:
    import torch

    if torch.cuda.is_available():
        return [
            Finding(f"cuda:{index}", f"{properties.name}, {properties.total_memory / 1e9:.0f} GB")
            for index in range(torch.cuda.device_count())
            for properties in [torch.cuda.get_device_properties(index)]
        ]
    if Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi"):
        build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        return [
            Finding(
                "device",
                f"an NVIDIA GPU that torch {torch.__version__}, built {build}, cannot use",
                "install a torch for the driver's CUDA (nvidia-smi says which), or run with --device cpu",
            )
        ]
    return [Finding("device", "CPU only: minutes at the cpu scale, days at others")]


def _cores() -> list[Finding]:
    free = psutil.virtual_memory().available
    remedy = "" if free > MEMORY_BYTES else "close other programs, or run with --workers 1"
    threads = os.environ.get("OMP_NUM_THREADS", "not set: workers share the cores")
    return [
        Finding("cores", f"{len(os.sched_getaffinity(0))} for this process; {processor()}"),
        Finding("threads", f"OMP_NUM_THREADS {threads}"),
        Finding("memory", f"{free / 1e9:.1f} GB free", remedy),
    ]


def _folder(what: str, path: Path, setting: str) -> Finding:
    path = path.expanduser().resolve()
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    try:
        # Tried, not asked: a read-only or full disk answers os.access as a good one does.
        with TemporaryFile(dir=existing) as file:
            file.write(b"cmae-ablate")
    except OSError as error:
        return Finding(what, f"{path}: cannot be written ({error.strerror})", f"set {setting}")
    free = shutil.disk_usage(existing).free
    remedy = "" if free > FREE_BYTES else f"free some space, or set {setting}"
    return Finding(what, f"{path}: writable, {free / 1e9:.1f} GB free", remedy)


def _extras() -> list[Finding]:
    """What only some commands, or only the tests, need."""
    findings = []
    for package, purpose, remedy in EXTRAS:
        try:
            findings.append(Finding(package, version(package), optional=True))
        except PackageNotFoundError:
            findings.append(Finding(package, "not installed", f"{purpose}: {remedy}", optional=True))
    for names, purpose, remedy in PROGRAMS:
        found = next((path for path in map(shutil.which, names) if path), None)
        state, todo = (found, "") if found else ("not installed", f"{purpose}: {remedy}")
        findings.append(Finding(names[0], state, todo, optional=True))
    return findings
