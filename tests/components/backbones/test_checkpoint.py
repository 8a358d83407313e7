"""Weights from a file as a variant: evaluated as they are, named by their content."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import UserError
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.cost import measure
from cmae_ablate.training.flops import pretraining_flops


@pytest.fixture
def trained(tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path) -> CellRecord:
    return run_cell(tiny_spec, CellContext(tiny_data, Runtime(), tmp_path / "cache"))


def imported(spec: TrialSpec, path: Path, **options: object) -> TrialSpec:
    backbone = {"name": "checkpoint", "path": str(path), "heads": 2, "normalization": "data", **options}
    return resolve(apply(spec.to_tree(), ("backbone",), backbone), spec.seed)


def test_an_imported_encoder_scores_what_it_scored_where_it_was_trained(
    trained: CellRecord, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec = imported(tiny_spec, trained.folder / "model.safetensors")
    found = run_cell(spec, CellContext(tiny_data, Runtime(), tmp_path / "elsewhere")).metrics
    scores = {name: value for name, value in trained.metrics.items() if name.startswith("knn.")}
    assert scores
    assert {name: found[name] for name in scores} == scores
    assert found["params.encoder"] == trained.metrics["params.encoder"]


def test_nothing_is_claimed_of_a_pretraining_that_was_not_done_here(
    trained: CellRecord, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    spec = imported(tiny_spec, trained.folder / "model.safetensors")
    result = run_cell(spec, CellContext(tiny_data, Runtime(), tmp_path / "elsewhere"))
    assert not {"pretrain.loss", "seconds.pretrain", "flops.pretrain_image"} & set(result.metrics)
    assert result.history == []
    assert pretraining_flops(measure(spec, tiny_data.image_size), spec, 1000) == 0


def test_images_are_normalised_as_published_weights_expect(
    trained: CellRecord, tiny_spec: TrialSpec, tiny_data: DataArrays
) -> None:
    cell_context = CellContext(tiny_data, Runtime(), Path())
    spec = imported(tiny_spec, trained.folder / "model.safetensors", normalization="imagenet")
    assert cell_context.normalised_for(spec).data.mean == (0.485, 0.456, 0.406)
    assert cell_context.normalised_for(tiny_spec).data.mean == tiny_data.mean


def test_the_fingerprint_follows_the_content_and_not_the_place(
    trained: CellRecord, tiny_spec: TrialSpec, tmp_path: Path
) -> None:
    moved, other = tmp_path / "moved.safetensors", tmp_path / "other.safetensors"
    shutil.copy(trained.folder / "model.safetensors", moved)
    content = bytearray(moved.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    names = [
        imported(tiny_spec, path).pretrain_fingerprint("data")
        for path in (trained.folder / "model.safetensors", moved, other)
    ]
    assert names[0] == names[1] != names[2]


def test_a_missing_file_and_another_image_size_are_said(
    trained: CellRecord, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"absent\.pth: cannot be read"):
        imported(tiny_spec, tmp_path / "absent.pth").pretrain_fingerprint("data")
    spec = imported(tiny_spec, trained.folder / "model.safetensors")
    with pytest.raises(UserError, match=r"images of 32, not 64; set training\.image_size to 32"):
        spec["backbone"].build(64)
