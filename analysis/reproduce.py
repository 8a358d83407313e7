"""Run a committed study again from nothing, and compare weights and statistics with what is committed.

Run:   make reproduce STUDY=decoder_size          (or: python analysis/reproduce.py decoder_size)
Ends with 0 when every number agrees. Weights are compared bit for bit: another processor or version of
torch may add up in another order, and then the statistics say how much that matters.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
ROOT = HERE.parent
TIMINGS = ("seconds.pretrain",)
TOLERANCE = 1e-9


def main() -> int:
    """Returns 0 when all agrees, else 1."""
    study = sys.argv[1] if len(sys.argv) > 1 else "decoder_size"
    out = ROOT / "runs" / "reproduce"
    command = [
        sys.executable,
        "-m",
        "cmae_ablate",
        "run",
        str(ROOT / "studies" / f"{study}.yaml"),
        "--out",
        str(out),
    ]
    status = subprocess.run(command, check=False).returncode
    if status:
        return status
    here, there = HERE / study, out / study
    agree = [
        _weights(here, there),
        *(_numbers(here / name, there / name) for name in ("trials.csv", "effects.csv")),
    ]
    return 0 if all(agree) else 1


def _weights(here: Path, there: Path) -> bool:
    first, second = (pd.read_csv(folder / "trials.csv", keep_default_na=False) for folder in (here, there))
    keys = ["variant", "seed"]
    both = first[[*keys, "weights_sha256"]].merge(second[[*keys, "weights_sha256"]], on=keys, how="outer")
    equal = both["weights_sha256_x"] == both["weights_sha256_y"]
    print(f"weights: {equal.sum()} of {len(both)} cells are equal bit for bit")
    return bool(equal.all())


def _numbers(here: Path, there: Path) -> bool:
    first, second = (pd.read_csv(path) for path in (here, there))
    names = [name for name in first.select_dtypes("number") if name in second and name not in TIMINGS]
    gaps = (first[names] - second[names]).abs().max()
    print(f"{here.name}: largest difference {gaps.max():.3g} in {gaps.idxmax()}, over {len(names)} columns")
    return bool((gaps.fillna(0.0) <= TOLERANCE).all())


if __name__ == "__main__":
    sys.exit(main())
