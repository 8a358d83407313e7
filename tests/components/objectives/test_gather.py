"""Two gloo ranks with half the batch each against one process with all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn

from cmae_ablate.components.objectives.gather import gather
from cmae_ablate.components.objectives.similarity import info_nce, nt_xent
from cmae_ablate.distributed import Ranks

RANKS = 2
Loss = Callable[[nn.Linear, Tensor, Tensor], Tensor]


def simclr_loss(layer: nn.Linear, first: Tensor, second: Tensor) -> Tensor:
    return nt_xent(layer(first), layer(second), 0.2)[0]


def moco_loss(layer: nn.Linear, first: Tensor, second: Tensor) -> Tensor:
    # Keys with gradient here, so that the gradient through gathered keys is tested too.
    return info_nce(layer(first), layer(second).tanh(), 0.2)[0]


LOSSES: dict[str, Loss] = {"simclr": simclr_loss, "moco": moco_loss}


def make_layer() -> nn.Linear:
    layer = nn.Linear(6, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(4, 6, generator=torch.Generator().manual_seed(0)))
        layer.bias.zero_()
    return layer


def make_inputs() -> Tensor:
    return torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(1))


def work(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=RANKS)
    try:
        results = {}
        for name, loss_of in LOSSES.items():
            layer = make_layer()
            first, second = make_inputs().chunk(RANKS, dim=1)[rank]
            with Ranks(rank, RANKS).together():
                loss = loss_of(layer, first, second)
                loss.backward()
            # What DDP does with losses and gradients of ranks: the mean.
            gradient = layer.weight.grad
            assert gradient is not None
            mean = torch.cat([gradient.flatten(), loss.detach()[None]]) / RANKS
            distributed.all_reduce(mean)
            results[name] = mean
        if rank == 0:
            torch.save(results, f"{folder}/results.pt")
    finally:
        distributed.destroy_process_group()


@pytest.mark.distributed
def test_two_ranks_give_the_loss_and_gradient_of_one_process(tmp_path: Path) -> None:
    multiprocessing.spawn(work, args=(str(tmp_path),), nprocs=RANKS)
    results = torch.load(tmp_path / "results.pt", weights_only=True)
    for name, loss_of in LOSSES.items():
        layer = make_layer()
        loss = loss_of(layer, *make_inputs())
        loss.backward()
        assert layer.weight.grad is not None
        expected = torch.cat([layer.weight.grad.flatten(), loss.detach()[None]])
        torch.testing.assert_close(results[name], expected, rtol=1e-5, atol=1e-6)


def test_one_process_gathers_its_own_embeddings_only() -> None:
    embeddings = torch.rand(3, 2, requires_grad=True)
    assert gather(embeddings) is embeddings
