"""A simulated full grid through the code of `report --trials`: its main effects and two-way interactions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.factorial import Term, analyse
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.trials import read_trials

OFF_ON = ("off", "on")


def combinations(factors: int) -> list[tuple[str, ...]]:
    """Every combination of that many two-level factors, all off first."""
    return list(itertools.product(OFF_ON, repeat=factors))


def grid_terms(
    values: Mapping[tuple[str, ...], npt.NDArray[np.float64]], metric: str, folder: Path
) -> tuple[Term, ...]:
    """The terms of one simulated grid, main effects first, as `factorial.csv` has them.

    Args:
        values: The metric by combination of levels, one number a seed; the first is the reference.
        metric: Its name.
        folder: Where to write `trials.csv`.
    """
    first = next(iter(values))
    names = [f"factor {i}" for i in range(len(first))]
    labels = {chosen: " + ".join(chosen) for chosen in values}
    description = StudyDescription(
        name="simulated",
        question="Is what the report says true?",
        scale="none",
        variants=tuple(labels.values()),
        reference=labels[first],
        factors=dict.fromkeys(names, OFF_ON),
        levels={label: dict(zip(names, chosen, strict=True)) for chosen, label in labels.items()},
        seeds=len(values[first]),
        metric=metric,
    )
    lines = [
        f"{labels[chosen]},{seed},COMPLETE,{','.join(chosen)},{value!r}"
        for chosen, own in values.items()
        for seed, value in enumerate(own.tolist())
    ]
    path = folder / "trials.csv"
    path.write_text("\n".join([f"variant,seed,state,{','.join(names)},{metric}", *lines]) + "\n")
    factorial = analyse(sort_out(read_trials(path, description), description))
    assert factorial is not None, "every combination of the levels is a variant"
    return factorial.family
