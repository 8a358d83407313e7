"""Run with `make bench`: every section, or those named, into results.json and RESULTS.md."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    cell,
    commands,
    objectives,
    overhead,
    probe,
    prompt,
    report,
    scaling,
    step,
    thousand,
    views,
)
from benchmarks.page import machine, result_line
from benchmarks.setting import Setting
from benchmarks.timing import Comparison
from cmae_ablate.components.loading import load_components
from cmae_ablate.runtime import pick_device, set_threads

SECTIONS: dict[str, Callable[[Setting], Iterator[Comparison]]] = {
    "step": step.run,
    "views": views.run,
    "objectives": objectives.run,
    "probe": probe.run,
    "cell": cell.run,
    "overhead": overhead.run,
    "thousand": thousand.run,
    "commands": commands.run,
    "prompt": prompt.run,
    "report": report.run,
    "scaling": scaling.run,
}
HERE = Path(__file__).parent
ON_A_GPU = ("step", "views", "objectives")
"""Sections that a GPU can run; the others measure the machine around it."""
ELSEWHERE = (
    "On a GPU: [GPU.md](GPU.md), made by `make bench-gpu` on one H200 with the code of 1b8a036, at the gpu "
    "scale. **Missed** there: 1.5 times the images/s of MAE's code (1.14 compiled, 1.08 not); launching the "
    "kernels takes longer than they do (docs/how-to/cluster.md). CUDA graphs train MAE 2.65 times as fast "
    "(2f73574), with equal losses; CMAE was not measured. Unmeasured: the paper scale, several GPUs and NCCL "
    "between them."
)
UNMEASURED = (
    " On a GPU `python -m benchmarks --device cuda` would measure rows of this table, too; it has not run."
)


def main() -> None:
    """Sections run one after another; each is written as soon as it is done, so that none is lost."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", help=f"sections of {', '.join(SECTIONS)}, separated by commas")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="seconds: whether it works, not how fast it is")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--official", type=Path, help="a checkout of MAE's official repository")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    setting = Setting(arguments.rounds, arguments.quick, device, arguments.official, arguments.out)
    names = arguments.only.split(",") if arguments.only else SECTIONS if device.type == "cpu" else ON_A_GPU
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        parser.error(f"no section is called {unknown[0]!r}; choose from {', '.join(SECTIONS)}")
    load_components()
    set_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "results.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    for name in names:
        rows, started = [], time.monotonic()
        for found in SECTIONS[name](setting):
            rows.append(found.record())
            print(f"{found.name}: {found.line}", flush=True)
        key = name if device.type == "cpu" else f"{name} on {device.type}"
        known[key] = {"machine": machine(device), "rows": rows}
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
        path.write_text(json.dumps(known, indent=1) + "\n")
        (arguments.out / "RESULTS.md").write_text(table(known))


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
    order = [*SECTIONS, *(f"{name} on cuda" for name in ON_A_GPU)]
    machines = []
    for section in (name for name in order if name in known):
        machines.append((section, known[section]["machine"]))
        for row in (Comparison(**entry) for entry in known[section]["rows"]):  # type: ignore[attr-defined]
            lines.append(result_line(row))
    is_complete = any(name.endswith("on cuda") for name in known)
    lines += ["", ELSEWHERE if is_complete else ELSEWHERE + UNMEASURED]
    lines += ["", "![Cost against images, cells and workers](scaling.png)"] if "scaling" in known else []
    lines += ["", "| section | machine |", "|---|---|"]
    for section, where in machines:
        assert isinstance(where, dict)
        lines.append(f"| {section} | {'; '.join(f'{key}: {value}' for key, value in where.items())} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
