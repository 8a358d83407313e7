"""Run with `make bench`: every section, or those named, into results.json and RESULTS.md."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks import cell, commands, objectives, overhead, probe, step, thousand, views
from benchmarks.timing import Comparison
from cmae_ablate.cost import matmul_speed
from cmae_ablate.hardware import processor
from cmae_ablate.registry import load_components
from cmae_ablate.runtime import Runtime, set_threads

SECTIONS: dict[str, Callable[[int, bool], Iterator[Comparison]]] = {
    "step": step.run,
    "views": views.run,
    "objectives": objectives.run,
    "probe": probe.run,
    "cell": cell.run,
    "overhead": overhead.run,
    "thousand": thousand.run,
    "commands": commands.run,
}
PACKAGES = ("torch", "torchvision", "transformers", "pillow", "numpy")
HERE = Path(__file__).parent
UNMEASURED = (
    "Unmeasured: everything on a GPU (bf16 autocast, TF32, flash attention, compilation, uploads). "
    "`make bench` on a machine that has one measures the step there only once these benchmarks take a device."
)


def main() -> None:
    """Sections run one after another; each is written as soon as it is done, so that none is lost."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="seconds: whether it works, not how fast it is")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        parser.error(f"no section is called {unknown[0]!r}; choose from {', '.join(SECTIONS)}")
    load_components()
    set_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "results.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    for name in names:
        rows = []
        for found in SECTIONS[name](arguments.rounds, arguments.quick):
            rows.append(found.record())
            print(f"{found.name}: {found.ratio:.3g} [{found.low:.3g}, {found.high:.3g}]", flush=True)
        known[name] = {"machine": machine(), "rows": rows}
        path.write_text(json.dumps(known, indent=1) + "\n")
        (arguments.out / "RESULTS.md").write_text(table(known))


def machine() -> dict[str, str]:
    """Where it was measured, and the speed of a large matrix product there in the same run."""
    speed = f"{matmul_speed(Runtime()) / 1e9:.0f} GFLOP/s fp32 on {torch.get_num_threads()} thread"
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return {
        "processor": processor(),
        "matrix product": speed,
        "python": platform.python_version(),
        "versions": versions,
    }


def table(known: dict[str, dict[str, object]]) -> str:
    """RESULTS.md."""
    lines = [
        "# Speed, measured side by side",
        "",
        "Made by `make bench`. Each row compares two ways of doing the same work, timed in turns in one",
        "process: the ratio is the reference's time over ours, median and quartiles of the rounds.",
        "",
        "| what | ratio | quartiles | ours | reference | rounds | at least | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    machines = []
    for section in SECTIONS:
        if section not in known:
            continue
        machines.append((section, known[section]["machine"]))
        for row in (Comparison(**entry) for entry in known[section]["rows"]):  # type: ignore[attr-defined]
            lines.append(_line(row))
    lines += ["", UNMEASURED, "", "| section | machine |", "|---|---|"]
    for section, where in machines:
        assert isinstance(where, dict)
        lines.append(f"| {section} | {'; '.join(f'{key}: {value}' for key, value in where.items())} |")
    return "\n".join(lines) + "\n"


def _line(row: Comparison) -> str:
    verdict = "" if row.target is None else "met" if row.ratio >= row.target else "**missed**"
    target = "" if row.target is None else f"{row.target:.3g}"
    remark = f"{verdict}; {row.remark}" if verdict and row.remark else verdict or row.remark
    return (
        f"| {row.name} | {row.ratio:.3g} | {row.low:.3g} to {row.high:.3g} | {_time(row.own_seconds)} | "
        f"{_time(row.reference_seconds)} | {row.rounds} | {target} | {remark} |"
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


if __name__ == "__main__":
    main()
