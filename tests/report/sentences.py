"""Every kind of answer, provoked by a CSV: `docs/sentences.md` is made of these, and a test holds it equal.

python -m tests.report.sentences        # writes docs/sentences.md anew
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cmae_ablate.report import ReportExtras, read_controls_beside, read_trials
from cmae_ablate.report.findings import Findings, find
from cmae_ablate.report.frame import PlanStatus
from cmae_ablate.report.seed_rule import Looks, SeedRule
from tests.report.conftest import METRIC, build_study

PAGE = Path(__file__).parents[2] / "docs" / "sentences.md"
PLAN = PlanStatus("2026-11-26T07:00:00+00:00")

RULE = SeedRule(Looks(3, 1, 8), smallest_effect=0.5)

MAE = [34.10, 33.40, 35.20, 34.60]
NOISE = {"up": [3.1, 2.9, 3.3, 3.0], "down": [-3.1, -2.9, -3.3, -3.0], "none": [0.4, -0.6, 0.9, -0.3]}
FACTORS = {"contrastive": ("off", "on"), "crop": ("plain", "box")}


def control(name: str, *below: float) -> list[tuple[str, int, float]]:
    """A control this far below the reference, seed by seed."""
    return [(name, seed, v - d) for seed, (v, d) in enumerate(zip(MAE, below, strict=True))]


SEEN = control("positive control", 6.0, 5.7, 6.4, 6.1)
UNSEEN = control("positive control", 0.2, -0.5, 0.6, -0.4)
BACKWARDS = control("positive control", -2.0, -1.7, -2.4, -2.1)
RANDOM = control("random init", 14.0, 13.2, 14.9, 14.1)


@dataclass(frozen=True)
class Case:
    """A kind of answer.

    Attributes:
        title: When it is given.
        values: The metric by variant; the reference first.
        controls: Rows of `controls.csv`: control, seed, metric.
        weights: `weights_sha256` of the variants whose weights are all one.
        study: Fields of the description that are otherwise than usual.
    """

    title: str
    values: Mapping[str, Mapping[int, float] | Sequence[float]]
    controls: Sequence[tuple[str, int, float]] = (*SEEN, *RANDOM)
    weights: Mapping[str, str] = field(default_factory=dict)
    study: Mapping[str, Any] = field(default_factory=dict)


def shifted(kind: str, seeds: int = 4) -> list[float]:
    """The reference's numbers with a difference of this kind."""
    return [round(v + d, 2) for v, d in zip(MAE, NOISE[kind], strict=True)][:seeds]


def grid(effect: float, noise: float = 0.3, interaction: float = 0.0) -> dict[str, list[float]]:
    """Two factors with two levels; `effect` is that of the first, noise repeats a fixed pattern."""
    pattern = [0.3, -1.0, 0.8, -0.2, -0.7, 0.9, 0.1, -0.4, 0.6, -0.9, 0.5, 0.2, -0.6, 0.7, -0.1, -0.3]
    values = {}
    for index, (first, second) in enumerate(itertools.product(*FACTORS.values())):
        gain = effect * (first == "on") + interaction * (first == "on" and second == "box")
        own = pattern[4 * index : 4 * index + 4]
        values[f"{first} + {second}"] = [
            round(v + gain + noise * d, 2) for v, d in zip(MAE, own, strict=True)
        ]
    return values


def grid_study() -> dict[str, Any]:
    """The description of such a grid."""
    levels = {
        " + ".join(chosen): dict(zip(FACTORS, chosen, strict=True))
        for chosen in itertools.product(*FACTORS.values())
    }
    return {"factors": FACTORS, "levels": levels}


CASES = {
    "higher": Case("One comparison, detected", {"MAE": MAE, "CMAE": shifted("up")}),
    "lower": Case("One comparison, detected, downwards", {"MAE": MAE, "CMAE": shifted("down")}),
    "inconclusive": Case("One comparison, not detected", {"MAE": MAE, "CMAE": shifted("none")}),
    "no feasible number": Case(
        "So noisy that no number of seeds is named",
        {"MAE": MAE, "CMAE": [95.0, 2.0, 80.0, 5.0]},
        study={"equivalence_margin": 0.01},
    ),
    "powerful yet open": Case(
        "Not detected, though the seeds would detect one point",
        {"MAE": MAE, "CMAE": [34.2, 33.3, 35.25, 34.55]},
    ),
    "equal": Case(
        "Within the declared margin",
        {"MAE": MAE, "CMAE": [34.2, 33.3, 35.25, 34.55]},
        study={"equivalence_margin": 1.0},
    ),
    "higher yet equal": Case(
        "Detected, and within the margin",
        {"MAE": MAE, "CMAE": [34.31, 33.60, 35.42, 34.79]},
        study={"equivalence_margin": 1.0},
    ),
    "several": Case(
        "Several variants",
        {"MAE": MAE, "CMAE": shifted("up"), "linear": shifted("down"), "depth 1": shifted("none")},
    ),
    "many": Case(
        "More variants than a headline names",
        {
            "MAE": MAE,
            **{f"up {i}": [v + i / 10 for v in shifted("up")] for i in range(4)},
            **{f"open {i}": [v + i / 10 for v in shifted("none")] for i in range(4)},
        },
    ),
    "none of several": Case(
        "Several variants, none detected",
        {"MAE": MAE, "depth 4": shifted("none"), "depth 1": [v + 0.1 for v in shifted("none")]},
    ),
    "among": Case(
        "Below 5 % alone, not among the comparisons",
        {"MAE": MAE, "a": [34.9, 34.9, 35.6, 36.1], "b": shifted("none"), "c": shifted("none")},
    ),
    "declared contrasts": Case(
        "Declared contrasts",
        {"MAE": MAE, "two views": shifted("none"), "CMAE": shifted("up")},
        study={"contrasts": (("CMAE", "two views"), ("two views", "MAE"))},
    ),
    "declared contrasts, nothing": Case(
        "Declared contrasts, none detected",
        {"MAE": MAE, "two views": [v + 0.1 for v in shifted("none")], "CMAE": shifted("none")},
        study={"contrasts": (("CMAE", "two views"), ("two views", "MAE"))},
    ),
    "identical": Case(
        "Equal weights in every seed",
        {"MAE": MAE, "same": MAE},
        weights={"MAE": "a", "same": "a"},
    ),
    "equal numbers": Case(
        "Equal numbers of other weights: few test images",
        {"MAE": [25.0, 33.333333, 41.666667], "CMAE": [25.0, 33.333333, 41.666667]},
        controls=(),
    ),
    "constant": Case(
        "The same difference in every seed", {"MAE": [25.0, 30.0], "CMAE": [27.5, 32.5]}, controls=()
    ),
    "one seed": Case("A single seed", {"MAE": [34.0], "CMAE": [36.0]}, controls=SEEN[:1]),
    "insensitive": Case(
        "The positive control is not detected", {"MAE": MAE, "CMAE": shifted("up")}, (*UNSEEN, *RANDOM)
    ),
    "backwards": Case("The positive control reads better", {"MAE": MAE, "CMAE": shifted("up")}, BACKWARDS),
    "insensitive and identical": Case(
        "Insensitive; what is identical or missing stays so",
        {"MAE": MAE, "same": MAE, "missing": {}},
        UNSEEN,
        weights={"MAE": "a", "same": "a"},
    ),
    "no gain": Case(
        "The reference is no better than random init",
        {"MAE": MAE, "CMAE": shifted("none")},
        (*SEEN, *control("random init", -1, -1, -1, -1)),
    ),
    "control without noise": Case(
        "The positive control differs without noise",
        {"MAE": MAE, "CMAE": shifted("none")},
        control("positive control", 5, 5, 5, 5),
    ),
    "control with the same numbers": Case(
        "The positive control has the very same numbers",
        {"MAE": MAE, "CMAE": shifted("none")},
        control("positive control", 0, 0, 0, 0),
    ),
    "trained elsewhere": Case(
        "The reference was imported from another machine",
        {"MAE": MAE, "CMAE": shifted("up")},
        study={"imported": {("MAE", seed): "1" for seed in range(4)}},
    ),
    "no controls": Case("Without controls", {"MAE": MAE, "CMAE": shifted("up")}, controls=()),
    "no reference": Case("The reference has no complete cell", {"MAE": {}, "CMAE": MAE}, controls=()),
    "no pair": Case("No seed in common", {"MAE": {0: 34.0}, "CMAE": {1: 35.0}}, controls=()),
    "one missing": Case("One variant without cells", {"MAE": MAE, "CMAE": shifted("up"), "linear": {}}),
    "alone": Case("Nothing is compared", {"MAE": MAE}),
    "unpaired seeds": Case(
        "Other numbers of seeds", {"MAE": MAE, "CMAE": shifted("up"), "linear": shifted("down", seeds=3)}
    ),
    "added seeds": Case(
        "Seeds added later, which find what the planned ones do not",
        {"MAE": MAE, "CMAE": [35.1, 33.6, 36.1, 35.4]},
        study={"seeds": 3},
    ),
    "null beside a missing one": Case(
        "Nothing detected, and a variant without cells", {"MAE": MAE, "CMAE": shifted("none"), "linear": {}}
    ),
    "rule, no look yet": Case(
        "Seeds by rule, before the first look",
        {"MAE": MAE[:2], "CMAE": shifted("up")[:2]},
        study={"rule": RULE, "seeds": 8},
    ),
    "rule, settled": Case(
        "Seeds by rule, one contrast settled and one open",
        {"MAE": MAE, "CMAE": shifted("up"), "linear": shifted("none")},
        study={"rule": RULE, "seeds": 8, "equivalence_margin": 0.5},
    ),
    "plan changed": Case(
        "A contrast declared after looking",
        {"MAE": MAE, "CMAE": shifted("none"), "linear": shifted("up")},
        study={
            "contrasts": (("CMAE", "MAE"), ("linear", "CMAE")),
            "planned_family": (("CMAE", "MAE"),),
            "plan": PlanStatus(
                PLAN.recorded,
                ("contrasts added, and therefore exploratory: \u2018linear\u2019 against \u2018CMAE\u2019",),
            ),
        },
    ),
    "pooled": Case(
        "Tested by one variance, pooled over all variants",
        {"MAE": MAE, "CMAE": shifted("up"), "BYOL": shifted("none")},
        study={"variance": "pooled"},
    ),
    "grid": Case("A grid, one factor detected", grid(2.0), study=grid_study()),
    "grid interaction": Case("A grid with an interaction", grid(1.0, 0.2, 3.0), study=grid_study()),
    "grid, nothing": Case("A grid, nothing detected", grid(0.05), study=grid_study()),
    "grid, insensitive": Case("An insensitive grid", grid(2.0), UNSEEN, study=grid_study()),
    "grid, no noise": Case(
        "A grid whose seeds all show the same effects",
        {v: [30.0 + i, 31.0 + i, 32.5 + i] for i, v in enumerate(grid(0.0))},
        controls=(),
        study=grid_study(),
    ),
    "grid, one seed": Case(
        "A grid with one seed", {v: own[:1] for v, own in grid(2.0).items()}, SEEN[:1], study=grid_study()
    ),
    "grid, incomplete seed": Case(
        "A grid with a seed that lacks a combination",
        {v: (own[:3] if v == "on + box" else own) for v, own in grid(2.0).items()},
        study=grid_study(),
    ),
    "grid, margin": Case(
        "A grid with a margin of equivalence", grid(0.05), study={**grid_study(), "equivalence_margin": 1.0}
    ),
    "grid, hole": Case(
        "A grid with an empty combination",
        {v: ([] if v == "on + box" else own) for v, own in grid(2.0).items()},
        study=grid_study(),
    ),
}


def findings(case: Case, folder: Path) -> Findings:
    """What is found of a case's CSVs."""
    usual = {"plan": PLAN, "positive_control": "a quarter of the epochs", "report": ()}
    study, trials = build_study(case.values, **{**usual, **case.study})
    if case.weights:
        trials["weights_sha256"] = [
            f"{case.weights[v]}{s}" if v in case.weights else f"{v}{s}"
            for v, s in zip(trials["variant"], trials["seed"], strict=True)
        ]
    path = folder / "trials.csv"
    trials.to_csv(path, index=False)
    if case.controls:
        controls = pd.DataFrame(case.controls, columns=["control", "seed", METRIC])
        controls.insert(1, "variant", "")
        controls.to_csv(folder / "controls.csv", index=False)
    read = read_trials(path, study)
    beside, notes = read_controls_beside(path, read, study)
    return find(study, read, beside, ReportExtras(notes=notes))


def page() -> str:
    """`docs/sentences.md`."""
    parts = [
        "# The sentences of an answer",
        "Every kind of answer that a report gives, provoked by a CSV (`tests/report/sentences.py` writes "
        "this page and a test holds it equal). The first line is the verdict; a *cell* is a variant with a "
        "seed.",
    ]
    for case in CASES.values():
        with tempfile.TemporaryDirectory() as folder:
            text = findings(case, Path(folder)).answer.text
        parts.append(f"## {case.title}\n\n" + "\n".join(f"> {line}  " for line in text.split("\n")))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
