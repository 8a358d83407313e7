from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cmae_ablate.checkpoint import weights_sha256
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import DivergedError, Interrupted
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import Hooks, pretrain
from cmae_ablate.training.model import assemble
from tests.stop_after import StopAfter

CMAE = {
    "objectives": {"contrastive": {"name": "moco_v3"}, "position": {"name": "absolute"}},
    "crop": {"name": "contrastive", "warmup_epochs": 1, "interval": 1},
}


DATA2VEC = {
    "decoder": {"name": "simmim"},
    "target": {"name": "data2vec", "momentum": 0.9},
    "objectives": {"uniformity": {"name": "u_mae"}},
}
VARIANTS: dict[str, dict[str, object]] = {"MAE": {}, "CMAE": CMAE, "data2vec": DATA2VEC}


def changed(spec: TrialSpec, change: dict[str, object]) -> TrialSpec:
    return resolve(apply(spec.to_tree(), (), change), spec.seed)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("stop_after", [1, 4, 6])
def test_a_stopped_training_ends_with_the_weights_of_an_undisturbed_one(
    variant: str, stop_after: int, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec = changed(tiny_spec, VARIANTS[variant])
    whole = pretrain(spec, tiny_data, Runtime(), tmp_path / "whole")
    with pytest.raises(Interrupted):
        pretrain(spec, tiny_data, Runtime(), tmp_path / "cut", Hooks(should_stop=StopAfter(stop_after)))
    resumed = pretrain(spec, tiny_data, Runtime(), tmp_path / "cut")
    assert weights_sha256(resumed.model.state_dict()) == weights_sha256(whole.model.state_dict())
    assert resumed.history == whole.history


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    found = [
        weights_sha256(
            pretrain(tiny_spec.with_seed(seed), tiny_data, Runtime(), tmp_path / str(run)).model.state_dict()
        )
        for run, seed in enumerate((0, 0, 1))
    ]
    assert found[0] == found[1] != found[2]


def test_objectives_leave_the_initialisation_of_all_else_unchanged(tiny_spec: TrialSpec) -> None:
    mae = assemble(tiny_spec, 32).state_dict()
    cmae = assemble(changed(tiny_spec, CMAE), 32).state_dict()
    shared = [name for name in cmae if not name.startswith("objectives.")]
    assert shared == list(mae)
    assert all(torch.equal(cmae[name], mae[name]) for name in shared)


def test_objectives_leave_masks_and_the_first_loss_unchanged(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec = resolve(apply(tiny_spec.to_tree(), ("training", "base_lr"), 1e-12), 0)
    histories = [
        pretrain(trial, tiny_data, Runtime(), tmp_path / name).history
        for name, trial in {"mae": spec, "both": changed(spec, {"objectives": CMAE["objectives"]})}.items()
    ]
    assert histories[0][0]["reconstruction"] == pytest.approx(histories[1][0]["reconstruction"], abs=1e-6)


def test_the_loss_falls(tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path) -> None:
    spec = changed(tiny_spec, {"training": {"epochs": 8, "base_lr": 2e-2}})
    history = pretrain(spec, tiny_data, Runtime(), tmp_path).history
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]


def test_a_loss_that_is_not_finite_names_term_and_remedy(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec = changed(tiny_spec, {"training": {"base_lr": 1e30, "warmup_epochs": 0.0}})
    with pytest.raises(DivergedError, match=r"loss is .* in epoch \d; lower training.base_lr"):
        pretrain(spec, tiny_data, Runtime(), tmp_path)


@pytest.mark.parametrize("variant", ["CMAE", "data2vec"])
def test_bf16_autocast_trains_on_a_cpu(
    variant: str, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec = changed(tiny_spec, {"training": {"epochs": 1, "precision": "bf16"}, **VARIANTS[variant]})
    done = pretrain(spec, tiny_data, Runtime(precision="bf16"), tmp_path)
    assert all(torch.isfinite(value).all() for value in done.model.state_dict().values())
