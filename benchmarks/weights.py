"""Whether a change moved any result: weights after a short training of every component, by hash.

Run:   python -m benchmarks.weights before.json        on the commit before the change
       python -m benchmarks.weights --against before.json      on the commit after it, on the same machine
Expected:   "all N equal", exit status 0. Hashes of another processor may differ without any change.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cmae_ablate import checkpoint
from cmae_ablate.components.evaluations.features import FrozenFeatures
from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runner.hardware import processor
from cmae_ablate.runtime import Runtime, set_threads
from cmae_ablate.study.settings import Tree, apply, default_tree
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import pretrain

SMALL: Tree = {
    "dataset": {"name": "scenes", "num_train": 64, "num_validation": 32, "num_test": 32, "image_size": 32},
    "backbone": {"name": "vit", "dim": 32, "depth": 2, "heads": 2, "patch": 8},
    "decoder": {"name": "transformer", "depth": 2, "dim": 32, "heads": 2},
    "training": {"epochs": 3, "batch_size": 16, "base_lr": 1e-3, "warmup_epochs": 0.5},
    "evaluations": {},
}
SLOTS_TRAINED = (
    "decoder",
    "masking",
    "target",
    "crop",
    "objectives.contrastive",
    "objectives.position",
    "objectives.uniformity",
)
# Boxes shall be in use within the three epochs, and decoders shall be small.
OPTIONS: dict[str, Tree] = {
    "crop contrastive": {"warmup_epochs": 1, "interval": 1},
    "decoder cross_attention": {"depth": 2, "dim": 32, "heads": 2},
}


def main() -> int:
    """Train every case; write its hashes, or compare them.

    Returns:
        1 where a hash is not as it was.
    """
    parser = argparse.ArgumentParser(prog="benchmarks.weights", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--against", type=Path)
    arguments = parser.parse_args()
    specs = cases()
    data = next(iter(specs.values()))["dataset"].prepare()
    found = {name: hashes(spec, data) for name, spec in specs.items()}
    if arguments.out:
        arguments.out.write_text(json.dumps({"processor": processor(), "cases": found}, indent=1) + "\n")
    if not arguments.against:
        return 0
    before = json.loads(arguments.against.read_text())
    if before["processor"] != processor():
        print(f"{arguments.against} is of another processor: {before['processor']}")
        return 1
    moved = [name for name, known in before["cases"].items() if found.get(name) != known]
    print(f"moved: {', '.join(moved)}" if moved else f"all {len(before['cases'])} equal")
    return int(bool(moved))


def cases() -> dict[str, TrialSpec]:
    """Small MAE, each component in its place, and a few combinations."""
    load_components()
    changes: dict[str, dict[str, Any]] = {"MAE": {}}
    for slot in SLOTS_TRAINED:
        for component in SLOTS[slot]:
            name = f"{slot} {component.name}"
            changes[name] = {slot: {"name": component.name, **OPTIONS.get(name, {})}}
    changes["two views"] = {"training": {"num_views": 2, "reconstruct": "all"}}
    changes["strong view"] = {"augmentation": {"strong_views": [0], "solarize": 0.5}}
    changes["smaller images"] = {"training": {"image_size": 16}}
    changes["larger images"] = {"training": {"image_size": 48}}
    changes["CMAE"] = {
        **changes["crop contrastive"],
        **changes["objectives.contrastive moco_v3"],
        **changes["objectives.position absolute"],
    }
    tree = apply(default_tree(), (), SMALL)
    return {name: resolve(_changed(tree, change)) for name, change in changes.items()}


def hashes(spec: TrialSpec, data: DataArrays) -> list[str]:
    """Of the weights, of the last loss and of the test images' features."""
    set_threads(spec.training.threads)
    with TemporaryDirectory() as folder:
        done = pretrain(spec, data, Runtime(), Path(folder))
    weights = {name: tensor.detach() for name, tensor in done.model.state_dict().items()}
    features = FrozenFeatures(done.model.eval().encoder, data, Runtime()).get("test", "mean")
    read = checkpoint.weights_sha256({"features": features})
    return [checkpoint.weights_sha256(weights), done.history[-1]["loss"].hex(), read]


def _changed(tree: Tree, change: dict[str, Any]) -> Tree:
    for slot, value in change.items():
        tree = apply(tree, tuple(slot.split(".")), value)
    return tree


if __name__ == "__main__":
    sys.exit(main())
