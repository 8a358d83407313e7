"""Numbers that documents state and that follow from committed CSVs by a subtraction, a ratio or a mean.

Run:   python -m analysis.derived            (after any of the CSVs below `analysis/` changed)
Writes `derived.csv` into the folder of every study on one data set (beside its `table.csv`), into
`localisation/` and into `recipe/`; a test holds them equal to what this computes. Columns: `quantity, of,
against, value`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

HERE = Path(__file__).parent
NAME = "derived.csv"
COSTS = ("seconds.pretrain", "flops.pretrain_image", "params.decoder")
Row = dict[str, object]


def of_study(folder: Path) -> pd.DataFrame:
    """Cost ratios of the compared pairs, gains over what is not pretrained, and resolutions.

    Args:
        folder: Holds `table.csv` and `effects.csv`, and `contrasts.csv` where contrasts were declared.
    """
    table = pd.read_csv(folder / "table.csv").query("kind != 'contrast'").set_index("variant")
    pairs = pd.concat(
        [pd.read_csv(path) for name in ("effects.csv", "contrasts.csv") if (path := folder / name).is_file()]
    ).drop_duplicates(["variant", "against"])
    pairs = pairs[pairs["variant"] != pairs["against"]]
    rows = [*_costs(table, pairs), *_gains(table), *_resolutions(folder, pairs)]
    return pd.DataFrame(rows, columns=["quantity", "of", "against", "value"])


def _costs(table: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[Row]:
    for pair in pairs.to_dict("records"):
        for cost in COSTS:
            ours, theirs = (table[cost].get(pair[key]) for key in ("variant", "against"))
            if theirs:
                yield {"quantity": f"{cost}, ratio", "of": pair["variant"], "against": pair["against"]} | {
                    "value": ours / theirs
                }


def _gains(table: pd.DataFrame) -> Iterator[Row]:
    """Of every variant over every control, in every reported metric."""
    means = [name for name in table if name == "mean" or name.endswith(".mean")]
    for control in table.index[table["kind"] != "variant"]:
        for variant in table.index[table["kind"] == "variant"]:
            for name in means:
                metric = name.removesuffix(".mean").removesuffix("mean") or "metric"
                yield {"quantity": f"{metric}, difference", "of": variant, "against": control} | {
                    "value": table.loc[variant, name] - table.loc[control, name]
                }


def _resolutions(folder: Path, pairs: pd.DataFrame) -> Iterator[Row]:
    """Half-widths of the intervals over what pretraining brings the reference: over its untrained encoder, or
    over training from scratch where it was fine-tuned.
    """
    controls = pd.read_csv(folder / "control_effects.csv").set_index("control")
    floor = next((each for each in ("random init", "from scratch") if each in controls.index), None)
    if floor is None:
        return
    gain = float(controls.loc[floor, "delta"])
    if not gain > 0:
        return  # as in the report: there is no gain (every study here is judged by an accuracy)
    for pair in [*pairs.dropna(subset=["ci_low"]).to_dict("records"), *_terms(folder)]:
        half = (pair["ci_high"] - pair["ci_low"]) / 2
        yield {"quantity": "resolution", "of": pair["variant"], "against": pair["against"]} | {
            "value": half / gain
        }


def _terms(folder: Path) -> list[dict[Hashable, Any]]:
    """Main effects and interactions of a grid, as pairs."""
    if not (folder / "factorial.csv").is_file():
        return []
    terms = pd.read_csv(folder / "factorial.csv").dropna(subset=["ci_low"])
    return terms.rename(columns={"term": "variant", "contrast": "against"}).to_dict("records")


def of_recipe(folder: Path) -> pd.DataFrame:
    """Means over seeds of every setting, what each gains over the untrained encoders, and gains by size.

    Args:
        folder: Holds `validation.csv`, `sizes.csv` and `probe.csv`.
    """
    cells = pd.read_csv(folder / "validation.csv")
    metrics = [name for name in cells if name.endswith("validation_top1")]
    means = cells.groupby(["setting", "role"], sort=False)[[*metrics, "cpu_seconds"]].mean()
    untrained = cells[cells["role"] == "untrained"][metrics].mean()
    rows = []
    for (setting, role), mean in means.iterrows():
        rows += [{"quantity": name, "of": f"{setting}, {role}", "value": v} for name, v in mean.items()]
        if role == "reference":
            gains = (mean[metrics] - untrained).items()
            rows += [
                {"quantity": f"{name}, difference", "of": setting, "against": "untrained", "value": v}
                for name, v in gains
            ]
    sizes = pd.read_csv(folder / "sizes.csv")
    for size in sizes.to_dict("records"):
        of = f"{size['shortest']:g} to {size['longest']:g}"
        for metric in ("linear_probe", "attentive_probe"):
            name = f"{metric}.validation_top1"
            gain = size[f"mae.{name}"] - size[f"untrained.{name}"]
            rows.append({"quantity": f"{name}, difference", "of": of, "against": "untrained", "value": gain})
    if (folder / "probe.csv").is_file():
        rows += _of_probe(pd.read_csv(folder / "probe.csv"))
    return pd.DataFrame(rows, columns=["quantity", "of", "against", "value"])


def _of_probe(readings: pd.DataFrame) -> Iterator[Row]:
    """Mean and deviation of one encoder's readings, by queries and by fits that vote; what training gains."""
    groups = readings.groupby(["encoder", "queries", "fits"])["validation_top1"]
    means, deviations = groups.mean(), groups.std()
    for encoder, queries, fits in means.index:
        of, mean = f"{encoder}, {queries} queries, {fits} fits", means[encoder, queries, fits]
        yield {"quantity": "reading, mean", "of": of, "value": mean}
        yield {"quantity": "reading, sd", "of": of, "value": deviations[encoder, queries, fits]}
        if encoder == "MAE":
            gain = mean - means["untrained", queries, fits]
            yield {"quantity": "reading, difference", "of": of, "against": "untrained", "value": gain}


def of_localisation(folder: Path) -> pd.DataFrame:
    """What the best heat map of each encoder adds to the IoU of the whole image as a box.

    Args:
        folder: Holds `iou.csv`.
    """
    measured = pd.read_csv(folder / "iou.csv")
    rows = []
    for dataset, own in measured.groupby("dataset", sort=False):
        full = float(own.loc[own["heatmap"] == "full image", "iou"].iloc[0])
        for encoder, maps in own[own["encoder"] != "none"].groupby("encoder", sort=False):
            gain = float(maps["iou"].max()) - full
            rows.append(
                {"quantity": "iou, best map", "of": f"{dataset}, {encoder}", "against": "full image"}
                | {"value": gain}
            )
    return pd.DataFrame(rows, columns=["quantity", "of", "against", "value"])


def all_derived(root: Path = HERE) -> dict[Path, pd.DataFrame]:
    """Every derived table by the path that it belongs to."""
    found = {path.with_name(NAME): of_study(path.parent) for path in sorted(root.glob("*/table.csv"))}
    if (root / "localisation" / "iou.csv").is_file():
        found[root / "localisation" / NAME] = of_localisation(root / "localisation")
    if (root / "recipe" / "validation.csv").is_file():
        found[root / "recipe" / NAME] = of_recipe(root / "recipe")
    return found


def main() -> None:
    """Write them all."""
    for path, table in all_derived().items():
        table.to_csv(path, index=False)
        print(f"{path}: {len(table)} rows")


if __name__ == "__main__":
    main()
