"""Encoders kept on the way change nothing in the training, and are those that it had."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cmae_ablate import checkpoint
from cmae_ablate.checkpoint import weights_sha256
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import Interrupted
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training import loop
from cmae_ablate.training.loop import Hooks, pretrain
from cmae_ablate.training.snapshots import keep_encoder, kept_encoder, snapshot_path
from tests.stop_after import StopAfter

CMAE = {
    "objectives": {"contrastive": {"name": "moco_v3"}, "position": {"name": "absolute"}},
    "crop": {"name": "contrastive", "warmup_epochs": 1, "interval": 1},
}
PROBED = {"training": {"epochs": 3, "probe_epochs": [2, 1]}}
STEPS = 4
"""Of an epoch: 64 images at batch 16."""


def changed(spec: TrialSpec, *changes: dict[str, object]) -> TrialSpec:
    tree = spec.to_tree()
    for change in changes:
        tree = apply(tree, (), change)
    return resolve(tree, spec.seed)


@pytest.mark.parametrize("variant", ["MAE", "CMAE"])
def test_a_probed_training_has_the_very_weights_and_history_of_one_that_is_not(
    variant: str, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    probed = changed(tiny_spec, CMAE if variant == "CMAE" else {}, PROBED)
    plain = probed.without_probes()
    assert probed.training.probed == (1, 2)
    assert plain.training.probed == ()
    first, second = (
        pretrain(s, tiny_data, Runtime(), tmp_path / str(i)) for i, s in enumerate((probed, plain))
    )
    assert weights_sha256(first.model.state_dict()) == weights_sha256(second.model.state_dict())
    assert first.history == second.history
    assert not (tmp_path / "1" / "snapshots").exists()


@pytest.mark.parametrize("stop_after", [2, STEPS, STEPS + 1, 2 * STEPS])
def test_stopped_and_resumed_it_keeps_the_same_encoders_and_ends_with_the_same_weights(
    stop_after: int, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec = changed(tiny_spec, PROBED)
    whole = pretrain(spec, tiny_data, Runtime(), tmp_path / "whole")
    with pytest.raises(Interrupted):
        pretrain(spec, tiny_data, Runtime(), tmp_path / "cut", Hooks(should_stop=StopAfter(stop_after)))
    resumed = pretrain(spec, tiny_data, Runtime(), tmp_path / "cut")
    assert weights_sha256(resumed.model.state_dict()) == weights_sha256(whole.model.state_dict())
    for epoch in (1, 2):
        paths = [snapshot_path(tmp_path / name, epoch) for name in ("whole", "cut")]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_what_is_kept_is_the_encoder_of_that_epochs_checkpoint(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec, found = changed(tiny_spec, CMAE, PROBED), {}

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        state = checkpoint.load_latest(tmp_path, print)
        assert state is not None
        assert state["step"] == epoch * STEPS
        model = state["model"]
        found[epoch] = {
            name.removeprefix("encoder."): value
            for name, value in model.items()
            if name.startswith("encoder.")
        }

    pretrain(spec, tiny_data, Runtime(), tmp_path, Hooks(on_epoch=on_epoch, looks_at=lambda epochs: True))
    for epoch in (1, 2):
        kept = kept_encoder(tmp_path, epoch)
        assert kept is not None
        assert set(kept) == set(found[epoch])
        assert all(torch.equal(kept[name], found[epoch][name]) for name in kept)
    assert kept_encoder(tmp_path, 3) is None  # the last one is the model itself


def test_an_encoder_is_kept_before_its_checkpoint_so_that_no_kill_can_lose_it(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*args: object) -> None:
        raise Killed

    spec = changed(tiny_spec, PROBED)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", kill)
        with pytest.raises(Killed):
            pretrain(spec, tiny_data, Runtime(), tmp_path)
    assert kept_encoder(tmp_path, 1) is not None


def test_keeping_an_encoder_is_no_second_of_training(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def slowly(*args: object) -> None:
        nonlocal now
        now += 1_000.0

    monkeypatch.setattr(loop, "keep_encoder", slowly)
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now)
    done = pretrain(changed(tiny_spec, PROBED), tiny_data, Runtime(), tmp_path)
    assert now == 2_000.0
    assert done.seconds == 0.0


def test_a_damaged_file_counts_as_not_kept(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    keep_encoder(tmp_path, 1, loop.assemble(tiny_spec, 32).encoder)
    path = snapshot_path(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:100])
    assert kept_encoder(tmp_path, 1) is None
