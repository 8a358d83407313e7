"""Work to be timed or priced, for the tests of both."""

from __future__ import annotations

from typing import Any

from cmae_ablate.data.arrays import ExpectedSize
from cmae_ablate.runner.hours import Workload
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.cost import measure

SIZE = ExpectedSize(100, 30, 32, 32, "made up")


def workload(spec: TrialSpec, **changes: Any) -> Workload:
    """A trial with changes, `evaluations__knn={...}` for a dotted key, on a data set of 100 images."""
    tree = spec.to_tree()
    for path, value in changes.items():
        tree = apply(tree, tuple(path.split("__")), value)
    changed = resolve(tree)
    return Workload(changed, SIZE, measure(changed, 32))
