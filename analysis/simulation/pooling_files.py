"""The way through the files: what `report` says of studies whose `trials.csv` and `controls.csv` lie on disk.

Run:   python -m analysis.simulation.pooling_files            (about two minutes of one core)
`pooling_rules.py` hands numbers to the report's `pool()`. Here 60 of such studies a cell are written as
the files of a study on several data sets, read by what `cmae-ablate report` reads them with, and analysed up
to `pooled.csv`, which is written and read again. Beside it stands the arithmetic of `pooling_rules.py` (rule
`sensitive only`), which shares nothing with the report: data sets that do not tell their positive control are
left out there as here.

Columns: `pooled`, the share of the studies that pool at all; `holds`, studies among them whose interval holds
the mean 0, and `by arithmetic`, the same without files; `unlike`, studies in which the two ways do not pool
the same number of data sets, or differ in whether these differ; `largest difference` of any end of an
interval, in points.
"""

from __future__ import annotations

import math
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.simulation.pooling_rules import Intervals, Setting, draw, draw_cells, sensitive_only
from cmae_ablate.report.pooled import pooled_study, pooled_table
from cmae_ablate.report.study_part import analyse
from cmae_ablate.runner.across import part_of
from cmae_ablate.runner.options import Options
from cmae_ablate.terminal import open_console

RESULTS = Path(__file__).with_name("pooling_files.csv")
STUDIES, ALPHA, MIDDLE = 60, 0.05, 50.0
SETTINGS = (
    Setting(3, 3, "1:1", 1.0),
    Setting(5, 3, "2:1", 0.0),
    Setting(5, 5, "2:1", 1.0),
    Setting(8, 3, "1:1", 0.5),
)
METRIC = "linear_probe.top1"
Array = npt.NDArray[np.float64]


def study_file(folder: Path, setting: Setting) -> Path:
    """A study on so many data sets, `reference` and `variant`."""
    blocks = [f"  d{number}: {{name: scenes, seed: {number}}}" for number in range(setting.datasets)]
    lines = [
        "question: Do files say what numbers say?",
        "scale: cpu",
        "design: one_factor",
        "factors:",
        "  decoder:",
        "    path: decoder",
        "    levels: {reference: {name: transformer, depth: 1}, variant: {name: linear}}",
        "reference: {decoder: reference}",
        f"seeds: {setting.seeds}",
        f"metric: {METRIC}",
        "datasets:",
        *blocks,
    ]
    path = folder / "simulated.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def write_cells(folder: Path, reference: Array, variant: Array, control: Array) -> None:
    """A data set's two files, from one number a seed each."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"reference": reference, "variant": variant}
    rows = [
        f"{label},{seed},COMPLETE,{label},{MIDDLE + value!r}"
        for label, own in values.items()
        for seed, value in enumerate(own.tolist())
    ]
    (folder / "trials.csv").write_text("\n".join([f"variant,seed,state,decoder,{METRIC}", *rows]) + "\n")
    rows = [f"positive control,,{seed},{MIDDLE + value!r}" for seed, value in enumerate(control.tolist())]
    (folder / "controls.csv").write_text("\n".join([f"control,variant,seed,{METRIC}", *rows]) + "\n")


def through_files(out: Path, parts: tuple[Options, ...]) -> pd.Series[object]:
    """The row of `pooled.csv` that the files in a folder give."""
    console = open_console()
    read = {str(part.dataset): part_of(part, console) for part in parts}
    study = pooled_study("simulated", [analyse(label, part) for label, part in read.items()])
    path = out / "pooled.csv"
    pooled_table(study).to_csv(path, index=False)
    return pd.read_csv(path).iloc[0]


def cell(setting: Setting, studies: int, out: Path) -> Iterator[dict[str, float]]:
    """What files and arithmetic say of each study; NaN of those that pool nothing."""
    seed = zlib.crc32(repr(setting).encode())
    written = draw_cells(np.random.default_rng(seed), setting, studies)
    drawn = draw(np.random.default_rng(seed), setting, studies)
    own = sensitive_only(drawn, setting.seeds)
    parts = Options(study_file(out, setting), out=out).parts
    for at in range(studies):
        for number, part in enumerate(parts):
            write_cells(out / part.load().name, *(values[at, number] for values in written))
        row = through_files(out, parts)
        yield {"datasets": float(drawn.tells[at].sum()), **_by_arithmetic(own, at), **_numbers(row)}


def _by_arithmetic(found: Intervals, at: int) -> dict[str, float]:
    assert found.kept is not None
    assert found.differ is not None
    pools = bool(found.kept[at])
    centre, pooled, predicted = (
        float(each[at]) if pools else math.nan for each in (found.centre, found.pooled, found.predicted)
    )
    return {
        "low": centre - pooled,
        "high": centre + pooled,
        "new low": centre - predicted,
        "new high": centre + predicted,
        "differ": float(found.differ[at]) if pools else math.nan,
    }


def _numbers(row: pd.Series[object]) -> dict[str, float]:
    names = {"datasets": "datasets", "low": "ci_low", "high": "ci_high"}
    names |= {"new low": "prediction_low", "new high": "prediction_high"}
    found = {f"file {name}": float(str(row[column])) for name, column in names.items()}
    p = float(str(row["p_heterogeneity"]))
    return found | {"file differ": math.nan if math.isnan(p) else float(p < ALPHA)}


def summary(setting: Setting, table: pd.DataFrame) -> dict[str, object]:
    """A row of the results."""
    pools = table["datasets"] >= 3
    same = (table["datasets"] == table["file datasets"]) & (
        table["differ"].fillna(-1) == table["file differ"].fillna(-1)
    )
    gaps = [(table[end] - table[f"file {end}"]).abs().max() for end in ("low", "high", "new low", "new high")]
    holds, arithmetic = (
        float(((table[f"{way}low"] <= 0) & (table[f"{way}high"] >= 0))[pools].mean()) for way in ("file ", "")
    )
    return {
        **vars(setting),
        "pooled": float(table["file low"].notna().mean()),
        "holds": holds,
        "by arithmetic": arithmetic,
        "unlike": int((~same).sum()),
        "largest difference": float(f"{max(gaps):.1e}"),
        "studies": len(table),
    }


def main() -> None:
    """Every cell through files, into the table."""
    rows = []
    for setting in SETTINGS:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(summary(setting, pd.DataFrame(cell(setting, STUDIES, Path(folder)))))
    pd.DataFrame(rows).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()
