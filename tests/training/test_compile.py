"""What a CPU can show of the compiled GPU path: one graph without breaks, and the same losses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.runtime import Runtime, stream
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import pretrain
from cmae_ablate.training.model import assemble

load_components()
OBJECTIVES = [
    (slot.removeprefix("objectives."), component.name)
    for slot in ("objectives.contrastive", "objectives.position")
    for component in SLOTS[slot]
]
BREAKS_THE_GRAPH = {"dropped"}  # draws from a CPU generator within its forward pass


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch.compiler.reset()


@pytest.mark.parametrize(("kind", "name"), [("", "no objective"), *OBJECTIVES])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # at a break
def test_the_forward_pass_is_one_graph_with_the_losses_of_the_plain_one(
    kind: str, name: str, tiny_spec: TrialSpec
) -> None:
    change = {f"objectives.{kind}": {"name": name}} if kind else {}
    spec = resolve(apply(tiny_spec.to_tree(), (), change), 0)
    model = assemble(spec, 32)
    images = [
        torch.randn(4, 3, 32, 32, generator=stream(0, "image", view)) for view in range(model.num_views)
    ]
    masks = model.sample_masks(4, 0, 0, 0)
    losses = []
    # fullgraph: a break is an error. The eager backend traces and guards as inductor's front end does.
    whole = name not in BREAKS_THE_GRAPH
    for forward in (model, torch.compile(model, fullgraph=whole, backend="eager")):
        terms = forward(images, masks, {key: stream(0, key) for key in spec.objectives})
        losses.append({key: term.loss.detach() for key, term in terms.items()})
    assert len(losses[0]) == 1 + bool(kind)
    torch.testing.assert_close(losses[1], losses[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # inductor's own, and those of the toolchain that it calls
def test_a_compiled_training_follows_the_plain_one(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path
) -> None:
    change = {"training": {"epochs": 1, "compile": True}, "objectives.contrastive": {"name": "moco_v3"}}
    spec = resolve(apply(tiny_spec.to_tree(), (), change), 0)
    plain, compiled = (
        pretrain(spec, tiny_data, Runtime(compile=on), tmp_path / str(on)).history[-1] for on in (False, True)
    )
    assert compiled["loss"] == pytest.approx(plain["loss"], rel=1e-4)
