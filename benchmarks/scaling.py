"""Cost against images, cells and workers over two decades, each point in a process of its own, and a plot.

Run:   make bench, or python -m benchmarks --only scaling
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.commands import ROOT, cmae
from benchmarks.curves import draw
from benchmarks.setting import Setting
from benchmarks.timing import Comparison
from cmae_ablate.components.loading import load_components
from cmae_ablate.data.arrays import DataArrays, Split
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.study.settings import apply, default_tree
from cmae_ablate.study.trial_spec import resolve
from cmae_ablate.training.loop import pretrain
from tests.queue.harness import server_programs

IMAGES = (1_000, 10_000, 100_000)
SEEDS = (2, 20, 200)
"""Of a study of two variants: 4, 40 and 400 cells."""
WORKERS, WAIT = (1, 10, 100), 60.0
"""And the seconds that stand for the training of a cell."""
SIDE, BATCH = 64, 128
SCALE = """\
dataset: {name: scenes, num_train: 64, num_validation: 32, num_test: 32, image_size: 32}
backbone: {name: vit, dim: 32, depth: 1, heads: 2, patch: 8}
decoder: {name: transformer, depth: 1, dim: 32, heads: 2}
training: {epochs: 1, batch_size: 16, warmup_epochs: 0.0, threads: 1}
evaluations: {knn: {name: knn, k: 3}}
"""
STUDY = """\
question: Does the time of a cell grow with their number?
scale: instant
design: one_factor
factors:
  decoder: {path: decoder, levels: {depth 1: {depth: 1}, linear: {name: linear}}}
reference: {decoder: depth 1}
seeds: 1
metric: knn.top1
"""


LIMIT = 2 * 2**30
"""Bytes beside the model that training on any number of images may take."""


def main() -> None:
    """One point, printed as JSON: each has a process of its own."""
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=__doc__)
    parser.add_argument("--images", type=int)
    parser.add_argument("--seeds", type=int)
    arguments = parser.parse_args()
    found = images_point(arguments.images) if arguments.images else cells_point(arguments.seeds)
    print(json.dumps(found))


def run(setting: Setting) -> Iterator[Comparison]:
    """Every point; what the first and the last of a curve say of its slope."""
    divide = 100 if setting.quick else 1
    found = {
        "images": [
            _apart("scaling", "--images", max(200 * place, count // divide))
            for place, count in enumerate(IMAGES, start=1)
        ],
        "cells": [
            _apart("scaling", "--seeds", max(place, count // divide))
            for place, count in enumerate(SEEDS, start=1)
        ],
    }
    if server_programs() is not None:
        wait = f"--wait={WAIT / divide}"
        crowds = (1, 2, 4) if setting.quick else WORKERS
        found["workers"] = [_apart("crowd", "--workers", count, wait) for count in crowds]
        yield from _of_workers(found["workers"], WAIT / divide)
    setting.out.mkdir(parents=True, exist_ok=True)
    (setting.out / "scaling.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(found, setting.out / "scaling.png")
    for name in ("images", "cells"):
        points = found[name]
        counts, seconds, held = ([point[key] for point in points] for key in ("count", "seconds", "bytes"))
        # From the middle on: what start-up costs weighs on the first point.
        slope = (seconds[2] - seconds[1]) / (counts[2] - counts[1])
        before = (seconds[1] - seconds[0]) / (counts[1] - counts[0])
        yield Comparison.once(
            f"one more of {counts[1]:,.0f} to {counts[2]:,.0f} {name}, against one more of the tenth of it",
            before / slope,
            target=0.8,
            remark=f"linear is 1; {slope * 1e3:.3g} ms each; {seconds[2]:.0f} s in all; see scaling.png",
        )
        yield Comparison.once(
            f"memory at {counts[0]:,.0f} {name} against {counts[2]:,.0f}",
            held[0] / held[2],
            target=0.8 if name == "cells" else None,
            remark=f"{held[0] / 2**20:.0f} MiB and {held[2] / 2**20:.0f} MiB"
            + (", pages of the mapped file among them" if name == "images" else ""),
        )
    most = max(point["private_bytes"] for point in found["images"])
    yield Comparison.once(
        f"2 GiB against the memory that training on {IMAGES[2] // divide:,} images takes beside the model",
        LIMIT / max(most, 1.0),
        target=1.0,
        remark=f"{most / 2**20:.0f} MiB without the pages of the mapped file, which the system takes back",
    )


def _of_workers(points: list[dict[str, float]], wait: float) -> Iterator[Comparison]:
    few, many = points[0], points[-1]
    name = f"one of {many['count']:.0f} workers"
    yield Comparison.once(
        f"cells an hour by {name}, against a worker alone",
        (wait + few["beside"]) / (wait + many["beside"]),
        target=0.8,
        remark=f"linear is 1; training is a wait of {wait:.0f} s, queue and tracking on PostgreSQL are real; "
        f"{few['beside']:.2f} s and {many['beside']:.2f} s of a cell beside it, all on this machine's cores; "
        f"{many['connections']:.0f} connections; see scaling.png",
    )
    yield Comparison.once(
        f"memory of a worker alone against {name}",
        few["bytes"] / many["bytes"],
        target=0.8,
        remark=f"{few['bytes'] / 2**20:.0f} MiB and {many['bytes'] / 2**20:.0f} MiB beside what they share",
    )


def images_point(count: int) -> dict[str, float]:
    """Train a small MAE for one epoch on `count` images of noise in a memory-mapped file.

    Returns:
        Seconds, and the most memory beside that of the same process after its first steps, in bytes:
        all of it, and what is not of the mapped file.
    """
    load_components()
    set_threads(1)
    tree = default_tree()
    changes = {
        "backbone": {"name": "vit", "dim": 32, "depth": 1, "heads": 2, "patch": 16},
        "decoder": {"name": "linear"},
        "training": {"epochs": 1, "batch_size": BATCH, "warmup_epochs": 0.0},
        "evaluations": {},
    }
    for path, value in changes.items():
        tree = apply(tree, (path,), value)
    spec = resolve(tree)
    with TemporaryDirectory() as folder:
        few, many = (noise(Path(folder), size) for size in (2 * BATCH, count))
        pretrain(spec, few, Runtime(), Path(folder) / "warm")
        before = memory()
        start = time.perf_counter()
        pretrain(spec, many, Runtime(), Path(folder) / "cell")
        seconds = time.perf_counter() - start
        after = memory()
    return {
        "count": count,
        "seconds": seconds,
        "bytes": after["VmHWM"] - before["VmRSS"],
        "private_bytes": after["RssAnon"] - before["RssAnon"],
    }


def cells_point(seeds: int) -> dict[str, float]:
    """Run a study of two variants and `seeds` seeds by one worker.

    Returns:
        Seconds, and the most memory the process held, in bytes.
    """
    with TemporaryDirectory() as folder:
        study = Path(folder) / "instant.yaml"
        study.write_text(STUDY)
        (study.parent / "scales").mkdir()
        (study.parent / "scales" / "instant.yaml").write_text(SCALE)
        arguments = ["run", str(study), "--out", folder, "--workers", "1", "--device", "cpu"]
        start = time.perf_counter()
        status = cmae(*arguments, "--seeds", str(seeds))
        seconds = time.perf_counter() - start
        assert status == 0, f"exit status {status}"
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {"count": 2 * seeds, "seconds": seconds, "bytes": peak}


def noise(folder: Path, count: int) -> DataArrays:
    """Prepared data of `count` training images, as the cache holds them."""
    path = folder / f"{count}.bin"
    images = np.memmap(path, np.uint8, "w+", shape=(count, 3, SIDE, SIDE))
    rng = np.random.default_rng(0)
    for start in range(0, count, 1000):
        part = images[start : start + 1000]
        part[:] = rng.integers(0, 256, part.shape, np.uint8)
    images.flush()
    mapped = np.memmap(path, np.uint8, "r", shape=images.shape)
    labels = rng.integers(0, 10, count)
    boxes = np.tile(np.array([0.0, 0.0, 1.0, 1.0], np.float32), (count, 1))
    split = Split(mapped, labels, boxes)
    names = tuple(str(label) for label in range(10))
    half = (0.5, 0.5, 0.5)
    return DataArrays("noise", names, "noise", half, half, (), split, split, split)


def memory() -> dict[str, int]:
    """What Linux says of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = (line.split() for line in lines if line.startswith(("VmRSS", "VmHWM", "RssAnon")))
    return {name.rstrip(":"): int(size) * 1024 for name, size, _ in fields}


def _apart(module: str, flag: str, count: int, *more: str) -> dict[str, float]:
    command = [sys.executable, "-m", f"benchmarks.{module}", flag, str(count), *more]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    point: dict[str, float] = json.loads(output.splitlines()[-1])
    return point


if __name__ == "__main__":
    main()
