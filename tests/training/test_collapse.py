"""A collapsed encoder is noticed where it was pretrained; `test_run` sees the report tell of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cmae_ablate.components.backbones.vit import vit
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runtime import Runtime, seeded
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import Hooks


@pytest.mark.parametrize("collapsed", [True, False])
def test_a_cell_warns_of_its_encoder_if_that_collapsed(
    collapsed: bool, tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    with seeded(0, "encoder"):
        encoder = vit(32, dim=32, depth=1, heads=2, patch=8)
    if collapsed:
        torch.nn.init.zeros_(encoder.norm.weight)
        torch.nn.init.ones_(encoder.norm.bias)
    save_file(encoder.state_dict(), tmp_path / "encoder.safetensors")
    backbone = {"name": "checkpoint", "path": str(tmp_path / "encoder.safetensors"), "heads": 2}
    spec = resolve(apply(tiny_spec.to_tree(), ("backbone",), backbone), 0)
    told: list[str] = []
    result = run_cell(spec, CellContext(tiny_data, Runtime(), tmp_path / "cache"), Hooks(warn=told.append))
    recorded = json.loads((result.folder / "result.json").read_text())["warning"]
    assert [recorded] == told if collapsed else recorded is None
    assert ["collapsed" in text for text in told] == [True] * collapsed
