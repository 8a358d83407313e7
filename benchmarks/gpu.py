"""Everything that only a GPU can tell, by one command of at most nine minutes, without network.

Run:   make bench-gpu OFFICIAL=path/to/mae         on the machine with the GPU
Expected:   gpu.json and GPU.md in --out, written anew after each section: a cut run loses none before.

`--dry` takes every path but the device's on a CPU, in the smallest sizes: whether it works, not how fast.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest import mock

import torch

from benchmarks import graphs, reference, step, throughput
from benchmarks.busy import device_seconds
from benchmarks.page import machine, reason, result_line
from benchmarks.size import SIZES, TINY, Size
from benchmarks.timing import Comparison
from benchmarks.two_ranks import two_ranks
from cmae_ablate.components.loading import load_components
from cmae_ablate.runtime import Runtime, pick_device

ROOT = Path(__file__).parents[1]
LIMIT_SECONDS = 540.0
PAPER = Size(768, 12, 12, 16, 224, 512, 8, 16)
GOAL = 1.5
"""Images a second against MAE's own code at the gpu scale."""
SAME = 1e-2
"""Two ranks' loss after a few epochs against one process's: on a GPU sums have no fixed order."""
SMALL = [
    *(text for text in TINY[0].settings() if not text.startswith("dataset.")),
    "training.batch_size=8",
    "training.image_size=32",
    "training.precision=fp32",
]


@dataclass(frozen=True)
class Bench:
    """What to measure with.

    Attributes:
        device: Where.
        official: A checkout of MAE's repository; None compares with our plain writing of the paper.
        dry: The smallest sizes, on a CPU.
        deadline: By `time.monotonic`.
    """

    device: torch.device
    official: Path | None
    dry: bool
    deadline: float = field(default=float("inf"))

    @property
    def seconds_left(self) -> float:
        """Until the deadline."""
        return max(0.0, self.deadline - time.monotonic())


def main(words: list[str] | None = None) -> int:
    """Run all sections.

    Args:
        words: The command line's.

    Returns:
        1 where one failed; what is missed or left out for want of time is no failure.
    """
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__)
    parser.add_argument("--official", type=Path, help="a checkout of MAE's official repository")
    parser.add_argument("--out", type=Path, default=Path("build/gpu"))
    parser.add_argument("--seconds", type=float, default=LIMIT_SECONDS, help="begin no section after them")
    parser.add_argument("--only", help="sections, separated by commas")
    parser.add_argument("--dry", action="store_true", help="every path but the device's, on a CPU")
    arguments = parser.parse_args(words)
    names = arguments.only.split(",") if arguments.only else list(SECTIONS)
    if unknown := set(names) - set(SECTIONS):
        parser.error(f"no section is called {min(unknown)!r}; choose from {', '.join(SECTIONS)}")
    device = torch.device("cpu") if arguments.dry else pick_device("cuda")
    deadline = time.monotonic() + arguments.seconds
    bench = Bench(device, arguments.official, arguments.dry, deadline)
    load_components()
    arguments.out.mkdir(parents=True, exist_ok=True)
    known: dict[str, object] = {"machine": machine(device), "sections": {}}
    failed = 0
    # On a CPU a compiler would take minutes for what no GPU runs: the graph is traced, and run as it is.
    traced = mock.patch.object(torch, "compile", partial(torch.compile, backend="eager"))
    with traced if arguments.dry else mock.patch.object(torch, "compile", torch.compile):
        for name in names:
            section, needed = SECTIONS[name]
            result = measured(section, needed, bench)
            known["sections"][name] = result  # type: ignore[index]
            failed += "error" in result
            print(f"{name}: {result.get('error') or result.get('skipped') or 'done'}", flush=True)
            (arguments.out / "gpu.json").write_text(json.dumps(known, indent=1) + "\n")
            (arguments.out / "GPU.md").write_text(table(known))
    print((arguments.out / "GPU.md").read_text())
    return int(failed > 0)


def measured(
    section: Callable[[Bench], Iterator[Comparison]], needed: float, bench: Bench
) -> dict[str, object]:
    """A section's rows; or why there are none, or no more."""
    started = time.monotonic()
    rows: list[object] = []
    if bench.seconds_left < needed:
        return {"rows": [], "skipped": f"it takes up to {needed:.0f} s, {bench.seconds_left:.0f} are left"}
    result: dict[str, object] = {"rows": rows}
    try:
        rows.extend(found.record() for found in section(bench))
    except Exception as error:
        traceback.print_exc()
        result["error"] = reason(error)
    return {**result, "seconds": round(time.monotonic() - started, 1)}


def steps(bench: Bench, size: Size, batch: int, target: float | None) -> Iterator[Comparison]:
    """The step against another's MAE on equal weights, eager and compiled, and how busy the other is."""
    theirs = (
        reference.from_checkout(size, bench.official)
        if bench.official
        else reference.references(size, None)[-1]
    )
    for compiled in (False, True):
        runtime = Runtime(bench.device, "fp32" if bench.dry else "bf16", compiled)
        found = step.step(size, theirs, runtime, 2 if bench.dry else 8, batch=batch)
        assert found.own_seconds is not None and found.reference_seconds is not None
        speeds = [batch / seconds for seconds in (found.own_seconds, found.reference_seconds)]
        yield Comparison(
            found.name,
            found.ratio,
            found.low,
            found.high,
            found.own_seconds,
            found.reference_seconds,
            found.rounds,
            target=target if compiled and bench.official and not bench.dry else None,
            remark=f"{speeds[0]:,.0f} against {speeds[1]:,.0f} images/s; {found.remark}",
        )
    work = step.reference_step(size, theirs, Runtime(bench.device, "fp32" if bench.dry else "bf16"), batch)
    work()
    computing = device_seconds(work, bench.device)
    assert found.reference_seconds is not None
    yield Comparison.once(
        f"{theirs.name}, {size}: share of the time that the device computes",
        min(1.0, computing / found.reference_seconds),
        remark=f"{computing * 1e3:.3g} ms a step",
    )


def gpu_steps(bench: Bench) -> Iterator[Comparison]:
    """At the gpu scale."""
    size, batch = (TINY[0], 8) if bench.dry else (SIZES[0], 512)
    yield from steps(bench, size, batch, GOAL)


def paper_steps(bench: Bench) -> Iterator[Comparison]:
    """At the paper scale."""
    size, batch = (TINY[0], 4) if bench.dry else (PAPER, 64)
    yield from steps(bench, size, batch, None)


def gpu_training(bench: Bench) -> Iterator[Comparison]:
    """Whole trainings at the gpu scale."""
    yield from _training(throughput.run, bench, "gpu", 40)


def paper_training(bench: Bench) -> Iterator[Comparison]:
    """Whole trainings at the paper scale."""
    yield from _training(throughput.run, bench, "paper", 20)


def cuda_graphs(bench: Bench) -> Iterator[Comparison]:
    """Whole trainings at the gpu scale, by the mode of torch.compile that is not the product's."""
    yield from _training(graphs.run, bench, "gpu", 20)


def _training(
    run: Callable[[str, int, int, torch.device, list[str]], Iterator[Comparison]],
    bench: Bench,
    scale: str,
    count: int,
) -> Iterator[Comparison]:
    if bench.dry:
        yield from run(scale, 32, 2, bench.device, SMALL)
    else:
        yield from run(scale, 64, count, bench.device, [])


def tests(bench: Bench) -> Iterator[Comparison]:
    """The tests that need CUDA; in the dry form they are found, and skip.

    Raises:
        RuntimeError: One failed.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "--tb=short"]
    command += ["tests/training/test_device_step.py"] + (["-k", "never_synchronises"] if bench.dry else [])
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=max(60.0, bench.seconds_left), check=False
    )
    last = (done.stdout.strip().splitlines() or [done.stderr.strip()])[-1]
    if done.returncode:
        print(done.stdout[-8000:], done.stderr[-2000:])
        raise RuntimeError(f"gpu tests: {last}")
    yield Comparison.once("tests that need CUDA passed", 1.0, target=1.0, remark=last)


def ranks(bench: Bench) -> Iterator[Comparison]:
    """Two ranks on one device: by NCCL where it lets them, by gloo in any case."""
    for backend in ("gloo",) if bench.dry else ("nccl", "gloo"):
        outcome = two_ranks(backend, bench.device, min(120.0, max(30.0, bench.seconds_left)))
        if outcome.difference is None:
            yield Comparison.once(f"two ranks on one device by {backend}", 0.0, remark=outcome.reason)
        else:
            yield Comparison.once(
                f"two ranks on one device by {backend}, their loss as one process's",
                float(outcome.difference < SAME),
                target=1.0,
                remark=f"relative difference {outcome.difference:.1e}",
            )


SECTIONS: dict[str, tuple[Callable[[Bench], Iterator[Comparison]], float]] = {
    "tests": (tests, 75),
    "steps at the gpu scale": (gpu_steps, 75),
    "training at the gpu scale": (gpu_training, 165),
    "ranks": (ranks, 45),
    "CUDA graphs at the gpu scale": (cuda_graphs, 200),
    "steps at the paper scale": (paper_steps, 120),
    "training at the paper scale": (paper_training, 120),
}
"""Each with the seconds that it may take: what has no time left is left out, and said.

On an H200 tests took about a minute, the next three 57, 155 and 37 s; the others are guessed. What is right
comes before what is fast. The paper scale's sections may want a second call, by `--only`.
"""


def table(known: dict[str, object]) -> str:
    """GPU.md."""
    lines = ["# On a GPU", "", "Made by `make bench-gpu`; ratios are the reference's time over ours.", ""]
    lines += ["| what | ratio | quartiles | ours | reference | rounds | at least | |", "|" + "---|" * 8]
    notes = []
    sections = known["sections"]
    assert isinstance(sections, dict)
    for name, result in sections.items():
        lines += [result_line(Comparison(**row)) for row in result["rows"]]
        notes += [f"- {name}: {what}: {result[what]}" for what in ("skipped", "error") if what in result]
    where = known["machine"]
    assert isinstance(where, dict)
    return "\n".join([*lines, "", *notes, "", *(f"- {key}: {value}" for key, value in where.items()), ""])


if __name__ == "__main__":
    sys.exit(main())
