"""Several processes that train one cell together, as torchrun starts them: ranks.

Rank 0 leads: it alone talks to queue and tracker, writes files and evaluates. What ranks agree on goes
through gloo on the CPU, so that no decision waits for a GPU; gradients, embeddings and statistics go through
torch's default group, NCCL on GPUs.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from cmae_ablate.errors import DivergedError, Interrupted, RankError, UserError

if TYPE_CHECKING:
    import torch  # imported where ranks work together: most processes are alone, and some need no torch
    from torch import Tensor, nn
    from torch.distributed.distributed_c10d import ProcessGroup, Store

PATIENCE = timedelta(days=30)
"""How long ranks wait for rank 0 while it evaluates alone; a dead one is noticed at once all the same."""
DISMISSED, UNKNOWING = -1, -2
"""Tasks for `Ranks.exchange`: there is none any more, and that of ranks which are told."""
_FAILURE = "failure"


class Ranks:
    """This process among those that train together; by default it is alone.

    Args:
        rank: Its number; 0 leads.
        count: How many there are.
        control: Group for what ranks agree on; None is torch's default one.
        store: Where a rank that fails says why.

    Attributes:
        broken: Whether a rank failed alone: the others cannot go on without it.
    """

    def __init__(
        self,
        rank: int = 0,
        count: int = 1,
        control: ProcessGroup | None = None,
        store: Store | None = None,
    ) -> None:
        self.rank = rank
        self.count = count
        self.broken = False
        self._control = control
        self._store = store
        self._dismissed = False

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """This rank's part of a batch, whose size `count` divides."""
        part = batch // self.count
        return slice(self.rank * part, (self.rank + 1) * part)

    def replicate(self, model: nn.Module) -> nn.Module:
        """The model such that its gradients are means over all ranks; the model itself where there is one."""
        if self.count == 1:
            return model
        from torch import nn

        # Without the search, DDP would lay its buckets out anew after the first step: sums over more than two
        # ranks would then depend on when a training was resumed. It also bears parameters without gradient.
        with warnings.catch_warnings():
            # torch 2.14 has another name for it, which older ones do not know.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return nn.parallel.DistributedDataParallel(
                model, broadcast_buffers=False, find_unused_parameters=True, gradient_as_bucket_view=True
            )

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the ranks, without gradient."""
        if self.count == 1:
            return values
        from torch import distributed

        total = values.detach() / self.count
        distributed.all_reduce(total)
        return total

    def highest(self, *numbers: int) -> tuple[int, ...]:
        """Of each number the highest that any rank gave; every rank must call this at the same point.

        Raises:
            RankError: A rank is gone.
        """
        if self.count == 1:
            return numbers
        import torch
        from torch import distributed

        told = torch.tensor(numbers)
        with self._accounting():
            distributed.all_reduce(told, distributed.ReduceOp.MAX, group=self._control)
        return tuple(told.tolist())

    def any(self, wish: bool) -> bool:
        """Whether any rank wishes so."""
        return self.highest(int(wish))[0] > 0

    def same(self, number: int) -> bool:
        """Whether every rank gave the same number."""
        most, least = self.highest(number, -number)
        return most == -least

    def exchange(self, status: int, task: int = UNKNOWING) -> tuple[int, int]:
        """Learn from rank 0 what to do next, and from all whether to end.

        Args:
            status: Exit status that a signal asks of this rank, or 0.
            task: On rank 0 the next task, or `DISMISSED`.

        Returns:
            The status asked of any rank, and the task. With a status above 0, or `DISMISSED`, all ranks are
            to end; rank 0 may then call again, which asks nobody.
        """
        if self._dismissed:
            return status, DISMISSED
        status, task = self.highest(status, task)
        self._dismissed = status > 0 or task == DISMISSED
        return status, task

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Run the block on rank 0, and only then on the others."""
        if not self.leads:
            self.highest(0)
        yield
        if self.leads:
            self.highest(0)

    @contextmanager
    def together(self) -> Iterator[None]:
        """All ranks are inside this block: `world` knows of them, and a rank that fails breaks all.

        Raises:
            RankError: Another rank failed.
        """
        global _current  # noqa: PLW0603 - autograd calls back from threads of its own, where no context variable is
        before, _current = _current, self
        try:
            with self._accounting():
                yield
        finally:
            _current = before

    @contextmanager
    def _accounting(self) -> Iterator[None]:
        try:
            yield
        except (UserError, DivergedError, Interrupted, RankError):
            raise  # on every rank alike
        except Exception as error:
            self.broken = self.count > 1
            if self.broken and _is_loss(error):
                raise RankError(self._last_words()) from error
            if self.broken:
                self._say(error)
            raise

    def _say(self, error: Exception) -> None:
        text = f"rank {self.rank}: {type(error).__name__}: {error}".splitlines()[0]
        if self._store is not None:
            with suppress(RuntimeError):
                self._store.set(_FAILURE, text)

    def _last_words(self) -> str:
        # Whoever says something does so before its connections close: nothing is there to wait for.
        if self._store is not None:
            with suppress(RuntimeError):
                if self._store.check([_FAILURE]):
                    return self._store.get(_FAILURE).decode()
        return ""


_current = Ranks()


def world() -> tuple[int, int]:
    """This process's rank and the number of ranks that are `together` now; (0, 1) outside of any training."""
    return _current.rank, _current.count


def rand(*shape: int, images: int, generator: torch.Generator) -> Tensor:
    """`torch.rand` for this rank's images: drawn for the whole batch, so that ranks change no number.

    Args:
        shape: Of the result.
        images: The dimension that counts this rank's images.
        generator: In the same state on every rank.
    """
    import torch

    rank, count = world()
    whole = [size * count if place == images else size for place, size in enumerate(shape)]
    return torch.rand(whole, generator=generator).narrow(images, rank * shape[images], shape[images])


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The ranks that torchrun started with this process, as RANK and WORLD_SIZE say; alone without them.

    Args:
        device: Its type decides how tensors travel.
    """
    if not is_one_of_many():
        yield Ranks()
        return
    from torch import distributed
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    backend = "nccl" if device.type == "cuda" else "gloo"
    store, rank, count = next(rendezvous("env://"))
    default = PrefixStore("default", store)
    distributed.init_process_group(backend, store=default, rank=rank, world_size=count)
    control = distributed.new_group(backend="gloo", timeout=PATIENCE)
    yield Ranks(rank, count, cast("ProcessGroup", control), store)
    # Only in good order: with a rank gone, saying goodbye could wait for ever.
    distributed.destroy_process_group()


def is_one_of_many() -> bool:
    """Whether torchrun, or what behaves like it, started several of this process."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def own_device(device: torch.device) -> torch.device:
    """The GPU of this rank, made torch's current one; a CPU as it is.

    Raises:
        UserError: More ranks than GPUs on this machine.
    """
    if device.type != "cuda" or not is_one_of_many():
        return device
    import torch

    local, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= devices:
        raise UserError(
            f"torchrun: rank {local} of this machine has no GPU of its own, {devices} are visible; "
            f"use --nproc-per-node {devices}, or the worker's --device cpu"
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def _is_loss(error: Exception) -> bool:
    """Whether a collective failed because another rank is gone; gloo says so by no type of its own."""
    from torch import distributed

    return isinstance(error, distributed.DistError) or "gloo/transport" in str(error)
