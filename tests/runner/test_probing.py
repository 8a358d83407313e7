"""Progress inside a training: judged from outside, on validation images, reported as far as it is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cmae_ablate.checkpoint import load_latest, weights_sha256
from cmae_ablate.cli.planning import plan_study
from cmae_ablate.components.evaluations.attentive_probe import AttentiveProbe
from cmae_ablate.data.arrays import DataArrays, ExpectedSize
from cmae_ablate.errors import Interrupted, UserError
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runner.evaluating import evaluate
from cmae_ablate.runner.hours import Speed, Workload, estimate
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.probing import probe
from cmae_ablate.runner.progress_rows import probe_folder
from cmae_ablate.runtime import Runtime
from cmae_ablate.study import design
from cmae_ablate.study.controls import control_variants
from cmae_ablate.study.loading import load
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.cost import measure
from cmae_ablate.training.flops import evaluation_flops
from cmae_ablate.training.loop import Hooks, pretrain
from cmae_ablate.training.model import assemble
from tests.whole_study import quiet, write_study

# MLflow's own dependencies warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
EPOCHS, PROBES = "training.epochs=3", "training.probe_epochs=[1, 2]"
READ = {
    "linear_probe": {"name": "linear_probe", "l2": [0.1, 0.01]},
    "attentive_probe": {"name": "attentive_probe", "epochs": 3},
}


FINGERPRINT_BEFORE = "15648bd7f29a1d2d44275cdb3a4517dd"
"""Written down at commit ca11f53, which knew no probes: of `tiny_spec` on data called `data`."""


class Forbidden:
    """Test images that nobody may look at."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the test part's {name} was looked at")

    def __len__(self) -> int:
        raise AssertionError("the test part's size was looked at")


def probed(spec: TrialSpec, label: str = "linear_probe", **training: object) -> TrialSpec:
    wanted = {"epochs": 3, "probe_epochs": [1, 2], "probe_with": label, **training}
    tree = {**spec.to_tree(), "evaluations": {label: READ[label]}}
    return resolve(apply(tree, (), {"training": wanted}), spec.seed)


def context(data: DataArrays, folder: Path) -> CellContext:
    return CellContext(data, Runtime(), folder)


def blind(data: DataArrays) -> DataArrays:
    return replace(data, test=Forbidden())  # type: ignore[arg-type]


def test_the_value_after_an_epoch_is_what_the_evaluation_says_of_that_epochs_encoder(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec, cell_context = probed(tiny_spec), context(tiny_data, tmp_path)
    folder = cell_context.folder(spec)
    expected = {}

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        state = load_latest(folder, print)
        assert state is not None
        model = assemble(spec, 32)
        model.load_state_dict(state["model"])
        found = evaluate(spec, model.eval().encoder, tiny_data, Runtime(), tmp_path / str(epoch))
        expected[epoch] = found["linear_probe"].metrics["validation_top1"]

    pretrain(spec, tiny_data, Runtime(), folder, Hooks(on_epoch=on_epoch, looks_at=lambda epochs: True))
    found = probe(spec, context(blind(tiny_data), tmp_path), Hooks())
    assert {epoch: found[epoch]["linear_probe.validation_top1"] for epoch in found} == {
        epoch: expected[epoch] for epoch in (1, 2)
    }
    kinds = {name.partition("@")[0] for metrics in found.values() for name in metrics}
    assert kinds == {"linear_probe.validation_top1"}


def test_a_probe_killed_in_the_middle_goes_on_and_finds_the_same(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    spec = probed(tiny_spec, "attentive_probe")
    whole, cut = (context(tiny_data, tmp_path / name) for name in ("whole", "cut"))
    weights = []
    for each in (whole, cut):
        weights.append(
            weights_sha256(pretrain(spec, tiny_data, Runtime(), each.folder(spec)).model.state_dict())
        )
    undisturbed = probe(spec, whole, Hooks())
    calls = 0

    def kill(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:  # 3 epochs of one step an encoder: in the middle of the second
            raise Killed

    with pytest.raises(Killed):
        probe(spec, cut, Hooks(on_evaluation=kill))
    first = next(probe_folder(cut.folder(spec), 1).glob("attentive_probe-*.json"))
    before = first.stat().st_mtime_ns
    trained: list[int] = []
    original = AttentiveProbe.fit
    monkeypatch.setattr(AttentiveProbe, "fit", lambda *a: (trained.append(1), original(*a))[1])
    assert probe(spec, cut, Hooks()) == undisturbed
    assert trained == [1]  # the second encoder's alone
    assert first.stat().st_mtime_ns == before
    assert weights[0] == weights[1]


def test_a_probe_can_be_told_to_stop(tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path) -> None:
    spec, cell_context = probed(tiny_spec, "attentive_probe"), context(tiny_data, tmp_path)
    pretrain(spec, tiny_data, Runtime(), cell_context.folder(spec))
    with pytest.raises(Interrupted):
        probe(spec, cell_context, Hooks(should_stop=lambda: True))


def test_an_earlier_pretraining_is_not_trained_again_and_its_progress_is_said_to_be_unknown(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec, cell_context = probed(tiny_spec), context(tiny_data, tmp_path)
    run_cell(spec.without_probes(), cell_context)
    told: list[str] = []
    assert run_cell(spec, cell_context).reused
    assert probe(spec, cell_context, Hooks(warn=told.append)) == {}
    assert len(told) == 2
    assert "no progress at epoch 1" in told[0]
    assert "another --out" in told[0]


def test_looking_is_no_part_of_any_fingerprint(tiny_spec: TrialSpec) -> None:
    spec = probed(tiny_spec)
    plain = spec.without_probes()
    assert spec.pretrain_fingerprint("data") == plain.pretrain_fingerprint("data")
    assert spec.fingerprint("data") == plain.fingerprint("data")
    assert spec.untrained_fingerprint("data") == plain.untrained_fingerprint("data")


def test_an_earlier_versions_fingerprint_still_names_its_weights(tiny_spec: TrialSpec) -> None:
    assert tiny_spec.pretrain_fingerprint("data") == FINGERPRINT_BEFORE


def test_epochs_after_the_end_are_left_out_with_a_notice(tiny_spec: TrialSpec) -> None:
    spec = probed(tiny_spec, probe_epochs=[2, 3, 5])
    assert spec.training.probed == (2,)
    assert spec.notices == ("training.probe_epochs 5 does not fit 3 epochs; left out",)


@pytest.mark.parametrize("given", ["probe_with=nothing", "probe_with=representation"])
def test_who_cannot_judge_on_validation_images_is_refused_with_place_and_remedy(
    given: str, tmp_path: Path
) -> None:
    settings = (PROBES, f"training.{given}", "evaluations.representation={name: representation}")
    study = load(write_study(tmp_path), settings=(EPOCHS, *settings))
    with pytest.raises(UserError, match=rf"--set training.{given}.*training.probe_with.*name one.*knn"):
        design.variants(study)


def test_controls_and_tuning_trials_are_not_probed(tmp_path: Path) -> None:
    study = load(write_study(tmp_path), settings=("training.epochs=8", PROBES))
    variants = design.variants(study)
    assert all(variant.spec.training.probe_with == "knn" for variant in variants)
    controls = control_variants(study, variants)
    assert controls.notes == ()
    assert all(control.spec.training.probe_epochs == () for control in controls.variants)


def test_the_plan_prices_every_probe(tmp_path: Path) -> None:
    study = load(write_study(tmp_path), settings=(EPOCHS, PROBES))
    spec = design.variants(study)[0].spec
    size, speed = ExpectedSize(64, 64, 32, 32, "given"), Speed(1e9, 2e9, measured=True)
    hours = [
        estimate(Workload(each, size, measure(each, 32)), speed, "a machine").hours
        for each in (spec, spec.without_probes())
    ]
    once = evaluation_flops(measure(spec, 32), spec.evaluations["knn"], 64, 64, 0) / 2e9 / 3600
    assert hours[0] - hours[1] == pytest.approx(2 * once)


def test_the_plan_knows_a_probed_study(tmp_path: Path) -> None:
    options = Options(write_study(tmp_path), out=tmp_path, device="cpu", settings=(EPOCHS, PROBES))
    assert plan_study(options, quiet()).hours > 0
