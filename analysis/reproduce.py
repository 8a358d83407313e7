"""Run a committed study again from nothing, and compare every column of its results with what is committed.

Run:   make reproduce STUDY=decoder_size [SCALE=hour]    (or: python -m analysis.reproduce decoder_size hour)
Each column is said to be equal (bit for bit, as written), different (by how much, in how many rows), or
measured (seconds, memory, and which file a row was imported from, which no two runs share). On the processor
of the committed result all columns must be equal. Another processor adds up in another order: then weights
differ, and accuracies must agree to half a point. Goes on where it was stopped; delete `runs/reproduce` to
begin anew. Ends with 0 when all agrees.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cmae_ablate.report.wording import counted
from cmae_ablate.study.finding import find_study
from cmae_ablate.study.loading import load

HERE = Path(__file__).parent
ROOT = HERE.parent
OUT = ROOT / "runs" / "reproduce"
FILES = {
    "trials.csv": ("variant", "seed"),
    "controls.csv": ("control", "variant", "seed"),
    "effects.csv": ("variant", "against"),
    "contrasts.csv": ("variant", "against"),
    "control_effects.csv": ("control",),
    "factorial.csv": ("term",),
    "table.csv": ("variant", "kind"),
}
"""What is compared, row by row, and what names a row."""
NEEDED = ("trials.csv", "effects.csv")
MEASURED = ("seconds.", "memory.", "imported")
"""How the columns begin that no two runs share."""
CLOSE = 0.5
"""The largest difference of accuracies on another processor, in percentage points."""


@dataclass(frozen=True)
class Column:
    """How one column of one file compares.

    Attributes:
        rows: Rows that differ.
        gap: The largest difference of numbers; NaN where text differs.
        is_measured: Whether it is left out.
    """

    file: str
    name: str
    rows: int = 0
    gap: float = 0.0
    is_measured: bool = False

    @property
    def is_equal(self) -> bool:
        """Bit for bit, in every row."""
        return self.rows == 0

    @property
    def is_close(self) -> bool:
        """As close as another processor may be: only accuracies are held to it."""
        return not self.name.partition("@")[0].endswith("top1") or self.gap <= CLOSE


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 when all agrees, else 1, or what `cmae-ablate run` ended with."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["decoder_size"]
    path, scale = find_study(given[0]), given[1] if len(given) > 1 else None
    study = load(path, scale=scale)
    name = study.name
    here = next((HERE / each for each in (name, given[0]) if (HERE / each / NEEDED[0]).is_file()), None)
    if here is None:
        print(f"analysis/{name}: no committed trials.csv; nothing to compare with", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "cmae_ablate", "run", str(path), "--out", str(OUT)]
    seeds = _read(here / NEEDED[0])["seed"].nunique()
    options = [
        *(["--scale", scale] if scale else []),
        *(["--seeds", str(seeds)] if seeds != study.seeds else []),
    ]
    status = subprocess.run([*command, *options], check=False).returncode
    return status or compare(here, OUT / name)


def compare(here: Path, there: Path) -> int:
    """Print how two folders of results differ, column by column; 0 when all agrees.

    Args:
        here: What is committed.
        there: What was made now.
    """
    devices = [_devices(folder) for folder in (here, there)]
    is_same = devices[0] == devices[1]
    print(f"committed on {', '.join(devices[0])}; here on {', '.join(devices[1])}")
    found: list[Column] = []
    for file, keys in FILES.items():
        paths = here / file, there / file
        present = [path.is_file() for path in paths]
        if not all(present):
            if any(present) or file in NEEDED:
                print(f"{file}: missing {'there' if present[0] else 'in what is committed'}")
                found.append(Column(file, "(the file)", rows=1, gap=float("nan")))
            continue
        columns = list(_columns(file, *map(_read, paths), keys))
        found += columns
        _say(file, columns)
    wrong = [c for c in found if not c.is_equal and not c.is_measured]
    if not is_same:
        wrong = [c for c in wrong if not c.is_close]
    if wrong:
        print(f"NOT reproduced: {', '.join(f'{c.file} {c.name}' for c in wrong)}")
        return 1
    print("reproduced, bit for bit" if is_same else f"reproduced: another processor, within {CLOSE:g} points")
    return 0


def _columns(file: str, first: pd.DataFrame, second: pd.DataFrame, keys: Sequence[str]) -> Iterator[Column]:
    """Every column of either table, rows matched by `keys`; a row or column of one side alone differs."""
    keys = [key for key in keys if key in first and key in second]
    both = first.merge(second, on=keys, how="outer", suffixes=("", "\n"), indicator="in\n")
    alone = int((both["in\n"] != "both").sum())
    yield Column(file, "(rows)", rows=alone, gap=float("nan") if alone else 0.0)
    for name in dict.fromkeys([*first, *second]):
        if name in keys:
            continue
        measured = str(name).startswith(MEASURED)
        if name not in first or name not in second:
            yield Column(file, str(name), len(both), float("nan"), measured)
            continue
        ours, theirs = both[name].fillna(""), both[f"{name}\n"].fillna("")
        differs = ours != theirs
        gaps = (pd.to_numeric(ours, errors="coerce") - pd.to_numeric(theirs, errors="coerce")).abs()
        gap = float(gaps[differs].max(skipna=False)) if differs.any() else 0.0
        yield Column(file, str(name), int(differs.sum()), gap, measured)


def _say(file: str, columns: Sequence[Column]) -> None:
    compared = [column for column in columns if not column.is_measured]
    equal = [column for column in compared if column.is_equal]
    measured = [column.name for column in columns if column.is_measured]
    apart = f"; measured, not compared: {', '.join(measured)}" if measured else ""
    print(f"{file}: {len(equal)} of {len(compared)} columns equal bit for bit{apart}")
    for column in compared:
        if not column.is_equal:
            size = "" if column.gap != column.gap else f", by at most {column.gap:.3g}"
            print(f"  {column.name}: different in {counted(column.rows, 'row')}{size}")


def _read(path: Path) -> pd.DataFrame:
    """As text: what is equal as written is equal bit for bit."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _devices(folder: Path) -> list[str]:
    return sorted(set(_read(folder / "trials.csv")["device"]))


if __name__ == "__main__":
    sys.exit(main())
