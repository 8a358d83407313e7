"""Run a committed study again from nothing, and compare weights and statistics with what is committed.

Run:   make reproduce STUDY=decoder_size          (or: python analysis/reproduce.py decoder_size)
On the processor of the committed result, weights must agree bit for bit and every number to 1e-9. Another
processor adds up in another order: then the weights differ, and accuracies must agree to half a point.
Ends with 0 when they do.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
ROOT = HERE.parent
MEASURED = ("seconds.pretrain", "memory.pretrain")
"""What no two runs share."""
EXACT, CLOSE = 1e-9, 0.5
"""The largest difference, in percentage points, on the same processor and on another one."""


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
    return compare(HERE / study, out / study)


def compare(here: Path, there: Path) -> int:
    """Print how two folders of results differ; 0 when that is as little as their processors allow."""
    first, second = (pd.read_csv(folder / "trials.csv", keep_default_na=False) for folder in (here, there))
    is_same = set(first["device"]) == set(second["device"])
    print(f"committed on {_devices(first)}; here on {_devices(second)}")
    both = first.merge(second, on=["variant", "seed"], how="outer")
    equal = both["weights_sha256_x"] == both["weights_sha256_y"]
    print(f"weights: {equal.sum()} of {len(both)} cells are equal bit for bit")
    limit = EXACT if is_same else CLOSE
    gaps = [_gap(here / name, there / name) for name in ("trials.csv", "effects.csv")]
    agrees = all(gap <= limit for gap in gaps) and (bool(equal.all()) or not is_same)
    print("reproduced" if agrees else f"NOT reproduced: more than {limit:g} apart, or other weights")
    return 0 if agrees else 1


def _devices(trials: pd.DataFrame) -> str:
    return ", ".join(sorted(set(trials["device"])))


def _gap(here: Path, there: Path) -> float:
    """The largest difference of accuracies and losses; of effects, that of mean and difference."""
    first, second = (pd.read_csv(path) for path in (here, there))
    chosen = ["mean", "delta"] if here.name == "effects.csv" else list(first.select_dtypes("number"))
    names = [name for name in chosen if name in second and name not in MEASURED]
    gaps = (first[names] - second[names]).abs().max()
    print(f"{here.name}: largest difference {gaps.max():.3g} in {gaps.idxmax()}, over {len(names)} columns")
    return float(gaps.max())


if __name__ == "__main__":
    sys.exit(main())
