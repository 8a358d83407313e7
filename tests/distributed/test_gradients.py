"""Two gloo ranks with half of each batch against one process with all of it, in double precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from cmae_ablate.arrays import DataArrays, prepare
from cmae_ablate.pretrain import pretrain
from cmae_ablate.ranks import Ranks
from cmae_ablate.registry import load_components
from cmae_ablate.runtime import Runtime
from cmae_ablate.settings import apply, default_tree
from cmae_ablate.spec import resolve
from tests.distributed.processes import start
from tests.tiny import TINY

pytestmark = pytest.mark.distributed

CROP = {"name": "contrastive", "warmup_epochs": 1, "interval": 1}
VARIANTS: dict[str, dict[str, Any]] = {
    "mae": {},
    "moco_v3": {"objectives": {"contrastive": {"name": "moco_v3"}}, "crop": CROP},
    "simclr": {"objectives": {"contrastive": {"name": "simclr", "feature": "decoder"}}},
    "byol": {"objectives": {"contrastive": {"name": "byol"}}, "training": {"grad_clip": 0.1}},
    "absolute": {"objectives": {"position": {"name": "absolute"}}},
    "dropped": {"objectives": {"position": {"name": "dropped"}}, "masking": {"name": "block"}},
}
Found = dict[str, dict[str, Any]]


def trained(ranks: Ranks, folder: Path) -> Found:
    """Gradients of every step, final weights and metrics of every variant."""
    load_components()
    found: Found = {}
    for name, change in VARIANTS.items():
        spec = resolve(apply(apply(default_tree(), (), TINY), (), change))
        gradients: list[Tensor] = []
        hook = register_optimizer_step_pre_hook(
            lambda optimizer, *_, into=gradients: into.append(
                torch.cat([p.grad.flatten() for group in optimizer.param_groups for p in group["params"]])
            )
        )
        data = prepare(spec["dataset"].build())
        done = pretrain(spec, data, Runtime(ranks=ranks), folder / f"{ranks.count}-{name}")
        hook.remove()
        found[name] = {
            "gradients": torch.stack(gradients),
            "weights": done.model.state_dict(),
            "history": done.history,
        }
    return found


def work(ranks: Ranks, folder: Path) -> None:
    torch.set_default_dtype(torch.float64)
    # Losses are summed up in single precision, whatever comes in; here in double, too.
    torch.Tensor.float = torch.Tensor.double  # type: ignore[assignment]
    if ranks.leads:
        torch.save(trained(Ranks(), folder), folder / "alone.pt")
    torch.save(trained(ranks, folder), folder / f"rank-{ranks.rank}.pt")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, tiny_data: DataArrays) -> dict[str, Found]:
    """What one process finds, and each of two ranks; `tiny_data` is what they read."""
    folder = tmp_path_factory.mktemp("ranks")
    start(work, folder, 2)
    return {path.stem: torch.load(path, weights_only=True) for path in folder.glob("*.pt")}


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_ranks_have_the_gradients_of_one_process(variant: str, found: dict[str, Found]) -> None:
    alone, ours = (found[name][variant]["gradients"] for name in ("alone", "rank-0"))
    assert len(alone) == 8
    assert float(alone[0].abs().max()) > 1e-3
    torch.testing.assert_close(ours[0], alone[0], rtol=0, atol=1e-10)
    # Later ones have gone through running statistics, slow copies, boxes and the optimiser.
    torch.testing.assert_close(ours, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_ranks_end_with_the_weights_and_losses_of_one_process(
    variant: str, found: dict[str, Found]
) -> None:
    alone, ours = (found[name][variant] for name in ("alone", "rank-0"))
    torch.testing.assert_close(ours["weights"], alone["weights"], rtol=0, atol=1e-6)
    for mine, theirs in zip(ours["history"], alone["history"], strict=True):
        # The spread is each rank's own; all else is a mean over the batch.
        compared = [name for name in theirs if not name.endswith("feature_std")]
        assert [mine[name] for name in compared] == pytest.approx([theirs[name] for name in compared])


@pytest.mark.parametrize("variant", VARIANTS)
def test_ranks_never_drift_apart(variant: str, found: dict[str, Found]) -> None:
    first, second = (found[f"rank-{rank}"][variant] for rank in range(2))
    assert first["weights"].keys() == second["weights"].keys()
    assert all(torch.equal(first["weights"][name], second["weights"][name]) for name in first["weights"])
    assert first["history"] == second["history"]
