"""A study in which nothing is to be found: ten seeds of one variant, five of them called a second one.

Run:   python -m analysis.null_study TRIALS.csv [--variant LABEL] [--metric NAME] [--scale NAME] [--out DIR]
`TRIALS.csv` has at least ten complete seeds of the variant (`analysis/null/ten_seeds.yaml` trains them); a
`controls.csv` beside it is taken in. Seeds 0 to 4 keep their label, seeds 5 to 9 become seeds 0 to 4 of
'MAE again'. What results goes through `cmae-ablate report --trials`, and the verdict is printed. As one such
study finds a difference with a chance of 5 %, `splits.csv` says what each of the 126 ways to halve ten seeds
would have found. Ends with 0 where the two do not differ detectably.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from cmae_ablate.report.stats import ALPHA, paired
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.reporting import report_csv

HALF = 5
CONTROLS = "controls.csv"
DETECTED = ("higher", "lower")
STUDY = """\
# Written by analysis/null_study.py: both variants are {variant}.
question: Do five seeds of {variant} differ detectably from five others?
scale: {scale}
design: one_factor
factors:
  seeds of {variant}:
    path: .
    levels:
      {first}: {{}}
      {second}: {{}}
reference: {{seeds of {variant}: {first}}}
seeds: {half}
metric: {metric}
"""


def relabelled(trials: pd.DataFrame, variant: str) -> pd.DataFrame:
    """Ten seeds of `variant` as two variants with five seeds each.

    Args:
        trials: As `trials.csv` has them.
        variant: Whose seeds 0 to 9 are complete.

    Raises:
        SystemExit: They are not.
    """
    complete = trials[(trials["variant"] == variant) & (trials["state"] == "COMPLETE")].set_index("seed")
    missing = sorted(set(range(2 * HALF)) - set(complete.index))
    if missing:
        listed = ", ".join(map(str, missing))
        raise SystemExit(f"'{variant}': seeds {listed} are not complete; train them first")
    rows = complete.loc[range(2 * HALF)].reset_index()
    names = [variant if seed < HALF else again(variant) for seed in rows["seed"]]
    factor = {f"seeds of {variant}": names}
    return rows.assign(variant=names, seed=rows["seed"] % HALF, **factor)


def again(variant: str) -> str:
    """What the second half is called."""
    return f"{variant} again"


def splits(values: Sequence[float]) -> pd.DataFrame:
    """What each way to halve ten seeds finds by the report's own test.

    Args:
        values: The metric of seeds 0 to 9.

    Returns:
        Columns `first` (the seeds of the half that has seed 0), `delta, p, detected`, one row a split.
    """
    series = pd.Series(values, dtype="float64")
    rows = []
    for others in itertools.combinations(range(1, 2 * HALF), HALF - 1):
        first = [0, *others]
        second = [seed for seed in range(2 * HALF) if seed not in first]
        found = paired(series[second].to_numpy(), series[first].to_numpy())
        rows.append((" ".join(map(str, first)), found.delta, found.p, found.p < ALPHA))
    return pd.DataFrame(rows, columns=["first", "delta", "p", "detected"])


def write(trials: Path, variant: str, metric: str, scale: str, out: Path) -> Path:
    """Write study, trials, controls and splits of the null study into `out`; the study file's path."""
    read = pd.read_csv(trials, keep_default_na=False, na_values=[""], dtype={"variant": str})
    halves = relabelled(read, variant)
    out.mkdir(parents=True, exist_ok=True)
    halves.to_csv(out / "trials.csv", index=False)
    if (beside := trials.with_name(CONTROLS)).is_file():
        controls = pd.read_csv(beside)
        known = controls["seed"].isna() | (controls["seed"] < HALF)
        controls[known].assign(variant="").to_csv(out / CONTROLS, index=False)
    splits(halves[metric].tolist()).to_csv(out / "splits.csv", index=False)
    study = out / "null.yaml"
    study.write_text(
        STUDY.format(
            variant=variant, first=variant, second=again(variant), half=HALF, metric=metric, scale=scale
        )
    )
    return study


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 where the two halves do not differ detectably, 1 where they do."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("trials", type=Path)
    parser.add_argument("--variant", default="MAE")
    parser.add_argument("--metric", default="attentive_probe.top1")
    parser.add_argument("--scale", default="hour", help="at which the seeds were trained")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "null")
    given = parser.parse_args(arguments)
    study = write(given.trials, given.variant, given.metric, given.scale, given.out)
    report_csv(Options(study, out=given.out), given.out / "trials.csv", Console())
    (verdict,) = json.loads((given.out / "answer.json").read_text(encoding="utf-8"))["verdicts"]
    found = pd.read_csv(given.out / "splits.csv")["detected"]
    print(f"verdict: {verdict['verdict']}")
    print(f"of {len(found)} ways to halve the seeds, {found.sum()} find a difference")
    return int(verdict["verdict"] in DETECTED)


if __name__ == "__main__":
    sys.exit(main())
