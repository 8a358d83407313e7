"""A finished cell whose files were damaged since: each one is named, set aside and made again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cmae_ablate.checkpoint import weights_sha256
from cmae_ablate.components.evaluation_protocols import EvaluationResult
from cmae_ablate.components.evaluations.knn import KNearestNeighbours
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import Interrupted
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runner.control_cells import raw_pixel_control, untrained_control
from cmae_ablate.runner.evaluating import evaluate
from cmae_ablate.runner.finished import check_predictions, folder_of, read_evaluation
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import Hooks
from cmae_ablate.training.model import build_encoder

Damage = Callable[[Path], None]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill_with_garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 8)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def write_another_shape(path: Path) -> None:
    path.write_text('{"metrics": [1, 2], "weights_sha256": 5}')


def raise_a_metric(path: Path) -> None:
    record = json.loads(path.read_text())
    name = next(iter(record["metrics"]))
    record["metrics"][name] += 1.0
    path.write_text(json.dumps(record))


def add_noise(path: Path) -> None:
    state = load_file(path)
    name = next(key for key, tensor in state.items() if tensor.is_floating_point())
    save_file({**state, name: state[name] + 0.01}, path)


ANY = [truncate, empty, fill_with_garbage, flip_a_byte, make_a_folder]
OF_JSON = [*ANY, write_another_shape, raise_a_metric]


@pytest.fixture(scope="module")
def spec(tiny_spec: TrialSpec) -> TrialSpec:
    """With a crop that learns something, from the first epoch on."""
    crop = {"name": "contrastive", "warmup_epochs": 1, "interval": 1}
    return resolve(apply(tiny_spec.to_tree(), ("crop",), crop))


@pytest.fixture(scope="module")
def done(spec: TrialSpec, tiny_data: DataArrays, tmp_path_factory: pytest.TempPathFactory) -> CellRecord:
    return run_cell(spec, CellContext(tiny_data, Runtime(), tmp_path_factory.mktemp("done")))


def again(
    spec: TrialSpec, data: DataArrays, done: CellRecord, cache: Path, name: str, damage: Damage
) -> tuple[CellRecord, list[str], Path]:
    """Damage a file in a copy of the finished cell, and run it: the result, what was told, and the file."""
    folder = cache / "pretrain" / done.folder.name
    shutil.copytree(done.folder, folder)
    path = next(folder.glob(name))
    damage(path)
    told: list[str] = []
    return run_cell(spec, CellContext(data, Runtime(), cache), Hooks(warn=told.append)), told, path


CASES = [
    *(("result.json", damage) for damage in OF_JSON),
    *(("model.safetensors", damage) for damage in [*ANY, add_noise, Path.unlink]),
    *(("crop.safetensors", damage) for damage in [*ANY, Path.unlink]),
]


@pytest.mark.parametrize(("name", "damage"), CASES)
def test_a_damaged_pretraining_is_named_set_aside_and_trained_again(
    name: str, damage: Damage, spec: TrialSpec, tiny_data: DataArrays, done: CellRecord, tmp_path: Path
) -> None:
    found, told, path = again(spec, tiny_data, done, tmp_path, name, damage)
    assert not found.reused
    assert [text.partition(":")[0] for text in told] == [str(path)]
    assert "damaged" in told[0]
    if damage is not Path.unlink:
        assert path.with_name(f"{path.name}.damaged-1").exists()
    assert path.is_file()
    assert found.weights_sha256 == done.weights_sha256
    assert found.metrics["knn.top1"] == done.metrics["knn.top1"]


CASES_OF_EVALUATIONS = [
    *(("knn-*.json", damage) for damage in OF_JSON),
    *(("knn-*.npy", damage) for damage in [*ANY, Path.unlink]),
]


@pytest.mark.parametrize(("name", "damage"), CASES_OF_EVALUATIONS)
def test_a_damaged_evaluation_is_named_set_aside_and_made_again_without_training(
    name: str, damage: Damage, spec: TrialSpec, tiny_data: DataArrays, done: CellRecord, tmp_path: Path
) -> None:
    found, told, path = again(spec, tiny_data, done, tmp_path, name, damage)
    assert found.reused
    assert [text.partition(":")[0] for text in told] == [str(path)]
    assert path.is_file()
    assert found.metrics == done.metrics
    predicted = np.load(next(found.folder.glob("knn-*.npy")))
    np.testing.assert_array_equal(predicted, np.load(next(done.folder.glob("knn-*.npy"))))


def test_an_undamaged_cell_is_told_nothing_of_and_not_trained(
    spec: TrialSpec, tiny_data: DataArrays, done: CellRecord, tmp_path: Path
) -> None:
    found, told, _ = again(spec, tiny_data, done, tmp_path, "result.json", lambda path: None)
    assert found.reused
    assert told == []
    assert found.metrics == done.metrics


def test_evaluations_of_other_weights_in_the_folder_do_not_count(
    spec: TrialSpec, tiny_data: DataArrays, done: CellRecord, tmp_path: Path
) -> None:
    def make_it_of_other_weights(path: Path) -> None:
        record = json.loads(path.read_text())
        del record["record_sha256"]
        record |= {"weights_sha256": "0" * 64, "metrics": {"top1": -1.0}}
        path.write_text(json.dumps(record))

    found, told, _ = again(spec, tiny_data, done, tmp_path, "knn-*.json", make_it_of_other_weights)
    assert told == []
    assert found.metrics == done.metrics


SGD = {"name": "linear_probe_sgd", "augmented": False, "epochs": 3, "batch_size": 16, "base_lr": 0.1}


class Probing:
    """A probe of an encoder in a folder, on four steps an epoch, which may be told to stop after some."""

    def __init__(self, spec: TrialSpec, data: DataArrays, encoder_seed: int) -> None:
        self.spec = resolve({**spec.to_tree(), "evaluations": {"probe": SGD}})
        self.data = data
        self.encoder = build_encoder(spec.with_seed(encoder_seed), data.image_size).eval()
        self.weights = weights_sha256(self.encoder.state_dict())

    def __call__(self, folder: Path, *, stop_after: int | None = None) -> list[int]:
        """How many steps were done when each one ended."""
        done: list[int] = []
        hooks = Hooks(
            on_evaluation=lambda step, total: done.append(step), should_stop=lambda: len(done) == stop_after
        )
        with suppress(Interrupted):
            evaluate(self.spec, self.encoder, self.data, Runtime(), folder, weights=self.weights, hooks=hooks)
        return done


def test_a_probe_goes_on_where_it_was_with_the_weights_it_began_with_and_no_others(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    ours, theirs = (Probing(tiny_spec, tiny_data, seed) for seed in (0, 1))
    folder = tmp_path / "shared"
    assert theirs(folder, stop_after=9) == list(range(1, 10))
    assert ours(folder, stop_after=5) == list(range(1, 6))
    assert ours(folder) == list(range(5, 13))
    assert theirs(tmp_path / "alone") == ours(tmp_path / "undisturbed") == list(range(1, 13))
    classes = [np.load(next((tmp_path / name).glob("*.npy"))) for name in ("shared", "undisturbed", "alone")]
    np.testing.assert_array_equal(classes[0], classes[1])
    assert (classes[0] != classes[2]).any()
    assert list(folder.glob("*.training")) == []


def test_what_an_earlier_version_kept_of_nobody_knows_whose_training_is_not_gone_on_with(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    ours = Probing(tiny_spec, tiny_data, 0)
    ours(tmp_path, stop_after=9)
    [scratch] = tmp_path.glob("*.training")
    scratch.rename(tmp_path / f"{scratch.name.partition('.')[0]}.training")
    assert ours(tmp_path) == list(range(1, 13))
    assert list(tmp_path.glob("*.training")) == []


@pytest.mark.parametrize("highest", [9, 2**15 - 1, 2**15, 70_000])
def test_predicted_classes_come_back_however_many_there_are(
    highest: int, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = [0, highest, *[3] * (len(tiny_data.test) - 2)]
    data = replace(tiny_data, class_names=tuple(str(each) for each in range(highest + 1)))
    result = EvaluationResult({"top1": 1.0}, torch.tensor(classes), "As told.")
    monkeypatch.setattr(KNearestNeighbours, "__call__", lambda self, context: result)
    spec = replace(tiny_spec, evaluations={"knn": tiny_spec.evaluations["knn"]})
    evaluate(spec, None, data, Runtime(), tmp_path)
    [path] = tmp_path.glob("knn-*.json")
    found = check_predictions(tmp_path, read_evaluation(path))
    assert found is not None
    assert found.tolist() == classes
    # What earlier versions wrote of few classes is what this one writes, byte by byte.
    assert np.load(path.with_suffix(".npy")).dtype == (np.int16 if highest < 2**15 else np.int32)


@pytest.mark.parametrize("damage", OF_JSON)
def test_a_damaged_control_is_named_set_aside_and_made_again(
    damage: Damage, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    cell_context = CellContext(tiny_data, Runtime(), tmp_path)

    def measured(hooks: Hooks) -> list[dict[str, float]]:
        found = [
            control(tiny_spec, cell_context, hooks) for control in (untrained_control, raw_pixel_control)
        ]
        return [dict(each.metrics) for each in found]

    before = measured(Hooks())
    paths = sorted(tmp_path.glob("controls/*/knn-*.json"))
    assert len(paths) == 2
    for path in paths:
        damage(path)
    told: list[str] = []
    assert measured(Hooks(warn=told.append)) == before
    assert {text.partition(":")[0] for text in told} == {str(path) for path in paths}


def test_weights_are_compared_by_content_not_by_file(
    spec: TrialSpec, tiny_data: DataArrays, done: CellRecord, tmp_path: Path
) -> None:
    def write_otherwise(path: Path) -> None:
        save_file(load_file(path), path, metadata={"written": "by another program"})

    found, told, _ = again(spec, tiny_data, done, tmp_path, "model.safetensors", write_otherwise)
    assert (found.reused, told) == (True, [])


def test_what_a_cell_left_is_found_where_it_was_made_and_where_out_was_moved_to(tmp_path: Path) -> None:
    made = tmp_path / "runs" / "cache" / "pretrain" / "abc"
    made.mkdir(parents=True)
    record, moved = CellRecord(folder=made), tmp_path / "moved"
    assert folder_of(record, moved / "cache") == made
    (tmp_path / "runs").rename(moved)
    assert folder_of(record, moved / "cache") == moved / "cache" / "pretrain" / "abc"
    assert folder_of(CellRecord(folder=made.with_name("pruned")), moved / "cache") == made.with_name("pruned")
    assert folder_of(CellRecord(), moved / "cache") is None


def test_a_copy_of_out_is_read_in_the_copy_but_for_what_was_not_copied(tmp_path: Path) -> None:
    made = tmp_path / "runs" / "cache" / "pretrain" / "abc"
    made.mkdir(parents=True)
    (made / "result.json").touch()
    record, copy = CellRecord(folder=made), tmp_path / "copy" / "cache"
    own = copy / "pretrain" / "abc"
    own.mkdir(parents=True)
    (own / "lock").touch()
    assert folder_of(record, copy) == made
    (own / "knn-0.json").touch()
    assert folder_of(record, copy) == own
