"""A simulated full grid through the code of `report --trials`: its main effects and two-way interactions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmae_ablate.report.cells import Cells, sort_out
from cmae_ablate.report.factorial import Term, analyse
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.trials import read_trials

OFF_ON = ("off", "on")


def cells_of(
    values: Mapping[str, npt.NDArray[np.float64]], description: StudyDescription, folder: Path
) -> Cells:
    """A simulated study, written as `trials.csv` and read as the report reads it.

    Args:
        values: The metric by variant, one number a seed.
        description: The study; its levels fill the columns of its factors.
        folder: Where to write `trials.csv`.
    """
    lines = [
        f"{label},{seed},COMPLETE,{','.join(description.levels[label].values())},{value!r}"
        for label, own in values.items()
        for seed, value in enumerate(own.tolist())
    ]
    header = f"variant,seed,state,{','.join(description.factors)},{description.metric}"
    path = folder / "trials.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return sort_out(read_trials(path, description), description)


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
    written = cells_of({labels[chosen]: own for chosen, own in values.items()}, description, folder)
    factorial = analyse(written)
    assert factorial is not None, "every combination of the levels is a variant"
    return factorial.family
