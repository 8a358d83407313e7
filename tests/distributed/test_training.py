"""Two gloo ranks with half of each batch against one process with all of it, in double precision.

And a training that the ranks stop and take up again, against one that they do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from cmae_ablate.components.loading import load_components
from cmae_ablate.data.arrays import DataArrays, prepare
from cmae_ablate.distributed import Ranks
from cmae_ablate.errors import DivergedError, Interrupted
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.settings import apply, default_tree
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import Hooks, pretrain
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
    "data2vec": {
        "decoder": {"name": "simmim"},
        "target": {"name": "data2vec", "momentum": 0.9},
        "objectives": {"uniformity": {"name": "u_mae"}},
    },
    "dropped": {"objectives": {"position": {"name": "dropped"}}, "masking": {"name": "block"}},
}
Found = dict[str, dict[str, Any]]


def spec_of(variant: str) -> TrialSpec:
    load_components()
    return resolve(apply(apply(default_tree(), (), TINY), (), VARIANTS[variant]))


def trained(ranks: Ranks, folder: Path) -> Found:
    """Gradients of every step, final weights and metrics of every variant."""
    found: Found = {}
    for name in VARIANTS:
        spec = spec_of(name)
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


def resumed(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Final weights and metrics of a training that the last rank alone was told to stop after five steps."""
    spec = spec_of("moco_v3")
    data, runtime = prepare(spec["dataset"].build()), Runtime(ranks=ranks)
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(len(asked))
        return ranks.rank == ranks.count - 1 and asked[-1] == 5

    try:
        pretrain(spec, data, runtime, folder / "resumed", Hooks(should_stop=should_stop))
    except Interrupted:
        done = pretrain(spec, data, runtime, folder / "resumed")
        return {"asked": len(asked), "weights": done.model.state_dict(), "history": done.history}
    return {}


def diverged(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """What is said of a training with a rate beyond reason, and whether the ranks could go on."""
    spec = resolve(apply(spec_of("mae").to_tree(), ("training", "base_lr"), 1e300))
    try:
        pretrain(spec, prepare(spec["dataset"].build()), Runtime(ranks=ranks), folder / "diverged")
    except DivergedError as error:
        return {"said": str(error), "broken": ranks.broken}
    return {}


def work(ranks: Ranks, folder: Path) -> None:
    torch.set_default_dtype(torch.float64)
    # Losses are summed up in single precision, whatever comes in; here in double, too.
    torch.Tensor.float = torch.Tensor.double  # type: ignore[assignment]
    if ranks.leads:
        torch.save(trained(Ranks(), folder), folder / "alone.pt")
    found = {**trained(ranks, folder), "resumed": resumed(ranks, folder), "wild": diverged(ranks, folder)}
    torch.save(found, folder / f"rank-{ranks.rank}.pt")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, tiny_data: DataArrays) -> dict[str, Found]:
    """What one process finds, and each of two ranks; `tiny_data` is what they read."""
    folder = tmp_path_factory.mktemp("ranks")
    assert start(work, folder, 2) == [0, 0]
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


@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_of_which_one_is_told_to_stop_all_stop_and_end_alike_later(
    rank: int, found: dict[str, Found]
) -> None:
    whole, cut = found[f"rank-{rank}"]["moco_v3"], found[f"rank-{rank}"]["resumed"]
    assert cut["asked"] == 6
    assert all(torch.equal(cut["weights"][name], value) for name, value in whole["weights"].items())
    assert cut["history"] == whole["history"]


def test_a_loss_that_is_not_finite_ends_the_training_on_all_ranks_alike(found: dict[str, Found]) -> None:
    assert found["rank-0"]["wild"]["said"].startswith("loss is nan in epoch")
    assert found["rank-0"]["wild"] == found["rank-1"]["wild"]
    assert found["rank-0"]["wild"]["broken"] is False


def resume(ranks: Ranks, folder: Path) -> None:
    spec = spec_of("moco_v3")
    spec = resolve(apply(spec.to_tree(), (), {"training": {"batch_size": 15}}))
    VARIANTS["moco_v3"] = spec.to_tree()
    done = pretrain(spec, prepare(spec["dataset"].build()), Runtime(ranks=ranks), folder / "whole")
    whole = {"weights": done.model.state_dict(), "history": done.history}
    torch.save({"whole": whole, "resumed": resumed(ranks, folder)}, folder / f"rank-{ranks.rank}.pt")


@pytest.mark.slow
def test_three_ranks_end_alike_too_though_the_order_of_their_sums_could_differ(
    tiny_data: DataArrays, tmp_path: Path
) -> None:
    assert start(resume, tmp_path, 3) == [0, 0, 0]
    for rank in range(3):
        found = torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True)
        whole, cut = found["whole"], found["resumed"]
        assert all(torch.equal(cut["weights"][name], value) for name, value in whole["weights"].items())
        assert cut["history"] == whole["history"]
