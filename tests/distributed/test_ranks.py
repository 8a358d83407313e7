from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cmae_ablate.distributed import DISMISSED, Ranks, joined, own_device, rand, world
from cmae_ablate.errors import Interrupted, RankError
from tests.distributed.processes import Work, start


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_process_without_ranks_is_alone_and_agrees_with_itself() -> None:
    with joined(torch.device("cpu")) as ranks:
        assert (ranks.rank, ranks.count, ranks.leads) == (0, 1, True)
        assert ranks.highest(3, -2) == (3, -2)
        assert ranks.exchange(143, 5) == (143, 5)
        assert ranks.share(6) == slice(0, 6)
        assert own_device(torch.device("cpu")) == torch.device("cpu")


def test_the_dismissed_are_not_asked_again() -> None:
    ranks = Ranks()
    assert ranks.exchange(0, DISMISSED) == (0, DISMISSED)
    assert ranks.exchange(0, 3) == (0, DISMISSED)


def test_shares_are_the_whole_batch_in_the_order_of_ranks() -> None:
    images = list(range(6))
    assert [images[Ranks(rank, 3).share(6)] for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("images", [0, 1])
def test_every_rank_draws_its_part_of_what_one_process_draws(images: int) -> None:
    alone = torch.rand(6, 6, generator=rng())
    shape = [6, 6]
    shape[images] = 2
    parts = []
    for rank in range(3):
        with Ranks(rank, 3).together():
            parts.append(rand(*shape, images=images, generator=rng()))
    assert torch.equal(torch.cat(parts, dim=images), alone)
    assert torch.equal(rand(6, 6, images=images, generator=rng()), alone)


def test_ranks_know_of_each_other_only_while_they_train_together() -> None:
    assert world() == (0, 1)
    with pytest.raises(Interrupted), Ranks(1, 2).together():
        assert world() == (1, 2)
        raise Interrupted
    assert world() == (0, 1)


def fail(ranks: Ranks, folder: Path) -> None:
    """Rank 1 ends with an error of its own while rank 0 waits for it."""
    try:
        with ranks.together():
            ranks.highest(0)
            if not ranks.leads:
                raise ValueError("no such thing\nand more")
            ranks.highest(0)
    except RankError as error:
        (folder / "told").write_text(f"{ranks.broken} {error.reason}")


def vanish(ranks: Ranks, folder: Path) -> None:
    """Rank 1 is gone without a word while rank 0 takes a mean."""
    try:
        with ranks.together():
            if not ranks.leads:
                os._exit(9)
            ranks.mean(torch.zeros(3))
    except RankError as error:
        (folder / "told").write_text(f"{ranks.broken} {error.reason}")


@pytest.mark.distributed
@pytest.mark.parametrize(
    ("work", "status", "told"),
    [
        (vanish, 9, "True "),
        pytest.param(fail, 1, "True rank 1: ValueError: no such thing", marks=pytest.mark.slow),
    ],
)
def test_a_rank_that_is_gone_is_noticed_with_its_last_words(
    work: Work, status: int, told: str, tmp_path: Path
) -> None:
    assert start(work, tmp_path, 2)[1] == status
    assert (tmp_path / "told").read_text() == told
