"""A GPU that is not there: host tensors are real, device tensors have no values; traffic is counted.

Inside `pretend_gpu()` a tensor sent to `cuda` lies on torch's `meta` device instead, so code that computes on
a GPU runs as it would there, kernel by kernel, and computes nothing. What a real GPU would make the host wait
for is counted: copies from memory that is not pinned, copies that block, and whatever reads a value back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

aten = torch.ops.aten
GPU = torch.device("cuda", 0)
META = torch.device("meta")
READS = {aten._local_scalar_dense.default, aten.nonzero.default}
"""Operators whose result, or its shape, depends on values: the host waits for them."""
NO_KERNEL = {
    aten.empty.memory_format,
    aten.empty_like.default,
    aten.empty_strided.default,
    aten.detach.default,
}


@dataclass
class Traffic:
    """What crossed, and what was launched.

    Attributes:
        launches: Operators that compute on the device; one that takes a list of tensors counts once.
        uploads: Copies to it that nobody waits for.
        waits: Copies to it that block, or from memory that is not pinned: what was sent.
        reads: Values read back, and copies from it.
    """

    launches: int = 0
    uploads: int = 0
    waits: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)

    def clear(self) -> None:
        """Count anew."""
        self.launches, self.uploads, self.waits, self.reads = 0, 0, [], []


class _Pretend(TorchDispatchMode):
    def __init__(self, traffic: Traffic, pinned: dict[int, Tensor]) -> None:
        super().__init__()
        self.traffic, self.pinned = traffic, pinned

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
        on_device = any(leaf.is_meta for leaf in tensors)
        target = torch.device(kwargs["device"]).type if kwargs.get("device") is not None else None
        if target == "cuda":
            kwargs["device"] = META
        if func is aten._to_copy.default and not on_device:
            if target in ("cuda", "meta"):
                self._note_upload(args[0], bool(kwargs.get("non_blocking")))
                return args[0].to(META, kwargs.get("dtype"))
        elif func is aten.copy_.default and args[0].is_meta and not args[1].is_meta:
            self._note_upload(args[1], len(args) > 2 and bool(args[2]))
        elif on_device and (func in READS or target == "cpu"):
            self.traffic.reads.append(str(func))
            return _made_up(func, args[0], kwargs)
        elif on_device or target in ("cuda", "meta"):
            for stray in (leaf for leaf in tensors if not leaf.is_meta and leaf.ndim > 0):
                self.traffic.waits.append(f"{func} takes {tuple(stray.shape)} from the host")
            self.traffic.launches += not (func.is_view or func in NO_KERNEL)
            if func is aten._fused_adamw_.default:
                return None  # there is no such operator without values
        return func(*args, **kwargs)

    def _note_upload(self, values: Tensor, asynchronous: bool) -> None:
        if asynchronous and values.untyped_storage()._cdata in self.pinned:
            self.traffic.uploads += 1
        else:
            self.traffic.waits.append(f"{tuple(values.shape)} {values.dtype}")


def _made_up(func: Any, values: Tensor, kwargs: dict[str, Any]) -> Any:
    """Values for the host to go on with: ones."""
    if func is aten.nonzero.default:
        return torch.ones(1, values.ndim, dtype=torch.int64, device=META)
    if func is aten._local_scalar_dense.default:
        return torch.ones((), dtype=values.dtype).tolist()
    return torch.ones(values.shape, dtype=kwargs.get("dtype") or values.dtype)


@contextmanager
def pretend_gpu() -> Iterator[Traffic]:
    """Inside the block there is a GPU, as far as code can tell; precision aside, as nothing is computed."""
    traffic = Traffic()
    pinned: dict[
        int, Tensor
    ] = {}  # by the handles of their storages, and kept, so that none is given out again

    def pin(values: Tensor) -> Tensor:
        assert not values.is_meta, "what is on the device cannot be pinned"
        copy = values.clone()
        pinned[copy.untyped_storage()._cdata] = copy
        return copy

    plain = torch.tensor

    def tensor(*args: Any, device: Any = None, **kwargs: Any) -> Tensor:
        if device is None or torch.device(device).type == "cpu":
            return plain(*args, **kwargs)
        made = plain(*args, **kwargs)
        traffic.waits.append(f"torch.tensor of {tuple(made.shape)}")
        return torch.empty(made.shape, dtype=made.dtype, device=META)

    patches = [
        mock.patch.object(torch, "tensor", tensor),
        mock.patch.object(torch.Tensor, "pin_memory", pin),
        mock.patch.object(torch.cuda, "_lazy_init", lambda: None),
        mock.patch.object(torch.cuda, "mem_get_info", lambda device=None: (2**33, 2**33)),
        mock.patch.object(torch, "autocast", lambda *_, **__: nullcontext()),
        mock.patch("torch.optim.optimizer._get_fused_kernels_supported_devices", lambda: ["cpu", "meta"]),
        mock.patch("torch.optim.adam._device_dtype_check_for_fused", lambda *_, **__: None),
    ]
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        stack.enter_context(_Pretend(traffic, pinned))
        yield traffic
