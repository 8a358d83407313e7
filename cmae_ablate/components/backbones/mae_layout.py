"""Published MAE weights as one dictionary of tensors under the official code's names.

Two layouts exist: the official one (`blocks.0.attn.qkv.weight`, `decoder_blocks...`) and Hugging Face's
ViTMAE, which splits query, key and value and has renamed its modules once.
"""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from cmae_ablate.errors import UserError
from cmae_ablate.files import MAX_WEIGHTS, check_regular

_GIVE = "give an MAE checkpoint (.pth, .bin or .safetensors)"
_NESTS = (
    *("model", "state_dict", "model_state_dict", "model_state", "module", "net", "network", "weights"),
    *("backbone", "encoder", "ema", "model_ema", "teacher", "student"),
)
"""Where training scripts keep the weights; of several the first."""
_OWN = "encoder."
_FIRST = re.compile(r"(.*?)(?:vit\.)?(?:patch_embed\.proj|embeddings\.patch_embeddings\.projection)\.weight")
"""The tensor that every encoder begins with."""
_FOREIGN = re.compile(r"(?:unsupported GLOBAL|Unsupported global: GLOBAL|Unsupported class) ([\w.]+)")
"""What torch names where a pickle would import something."""
_HUGGING_FACE_MARK = re.compile(r"^(vit\.)?embeddings\.cls_token$")

_HUGGING_FACE_TOP = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "layernorm": "norm",
    "decoder.mask_token": "mask_token",
    "decoder.decoder_pos_embed": "decoder_pos_embed",
    "decoder.decoder_embed": "decoder_embed",
    "decoder.decoder_norm": "decoder_norm",
    "decoder.decoder_pred": "decoder_pred",
}
_HUGGING_FACE_BLOCK = re.compile(
    r"(?P<stack>encoder\.layer|layers|decoder\.decoder_layers)\.(?P<index>\d+)\.(?P<part>.+)"
)
_HUGGING_FACE_PARTS = {
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "attention.output.dense": "attn.proj",
    "attention.o_proj": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "mlp.fc1": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "mlp.fc2": "mlp.fc2",
    **{
        name: f"attn.{kind}"
        for kind in ("query", "key", "value")
        for name in (f"attention.attention.{kind}", f"attention.{kind[0]}_proj")
    },
}
"""Module of a block, in transformers up to 4 and from 5 on, and what MAE calls it; qkv still in three."""


def read_mae_state(source: str | Path | Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors by the official code's names, from a file or a dictionary in either layout.

    A classification head (`head.*`) is left out: the encoder does not need it. So is what wrappers put
    before all names, such as `module.` and `_orig_mod.`, or a larger model before its encoder's, such as
    `backbone.` or this package's `encoder.`.

    Args:
        source: `.safetensors` file, file of `torch.save`, or dictionary; `{"model": ...}`,
            `{"state_dict": ...}` and the like are looked into.

    Raises:
        UserError: The file is missing, unreadable, or would run code when read; it holds no tensors, several
            encoders, or a tensor that is not finite.
    """
    place = "state dict" if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else _read(Path(source))
    tensors = _without_prefix(_tensors(content, place), place)
    state = {name: value for name, value in tensors.items() if not name.startswith("head.")}
    for name, value in state.items():
        if not bool(value.float().isfinite().all()):
            raise UserError(
                f"{place}: '{name}' holds NaN or infinity: the training diverged, or the file is damaged; "
                "give an earlier checkpoint"
            )
    if any(_HUGGING_FACE_MARK.match(name) for name in state):
        return _from_hugging_face(state, place)
    return state


def _tensors(content: Mapping[str, Any], place: str) -> dict[str, Tensor]:
    """The tensors by name of a state dict, or of the one that stands in it under a usual name."""
    found = {
        name: value.detach()
        for name, value in content.items()
        if isinstance(value, Tensor) and isinstance(name, str)
    }
    inner = next((content[name] for name in _NESTS if isinstance(content.get(name), Mapping)), None)
    # A number of steps beside the weights may well be a tensor.
    if inner is not None and not any(value.ndim for value in found.values()):
        return _tensors(inner, place)
    if found:
        return found
    inside = ", ".join(f"'{str(name)[:40]}'" for name in list(content)[:5])
    raise UserError(
        f"{place}: holds no tensors by name{f' but {inside}' if inside else ''}; give an MAE state dict, or "
        "{'model': state dict}"
    )


def _without_prefix(tensors: Mapping[str, Tensor], place: str) -> dict[str, Tensor]:
    """The tensors of the one encoder, without what stands before all their names."""
    prefixes = {match[1] for name in tensors if (match := _FIRST.fullmatch(name))}
    if not prefixes or "" in prefixes:
        return dict(tensors)
    if _OWN in prefixes:
        prefixes = {_OWN}  # objectives may hold copies of it
    if len(prefixes) > 1:
        listed = ", ".join(f"'{prefix}'" for prefix in sorted(prefixes))
        raise UserError(f"{place}: holds several encoders, below {listed}; save one of them alone")
    prefix = prefixes.pop()
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        check_regular(path, MAX_WEIGHTS)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; {_GIVE}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {_GIVE}") from error
    try:
        if path.suffix == ".safetensors" or _is_safetensors(path):
            return load_file(path)
        _check_packing(path)
        # MAE's training script saves its command line beside the weights; a Namespace can do no harm.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except _PackedError as error:
        raise UserError(f"{path}: refused: {error}; save its state dict anew with torch.save") from error
    except Exception as error:  # torch and safetensors raise many kinds on damaged files
        # Their words are for who wrote the loading, and torch's advise to load without its guard.
        if isinstance(error, pickle.UnpicklingError) and (found := _FOREIGN.search(str(error))):
            raise UserError(
                f"{path}: refused: it holds {found[1]}, which is no tensor, and reading that could run code; "
                "save its state dict anew, by torch.save(model.state_dict(), PATH)"
            ) from error
        raise UserError(
            f"{path}: no readable checkpoint: damaged, or written neither by torch.save nor as safetensors; "
            f"{_GIVE}, or get it anew"
        ) from error
    if not isinstance(content, Mapping):
        raise UserError(
            f"{path}: holds a {type(content).__name__}, not a state dict; save one with torch.save"
        )
    return content


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do, whatever its name: a length, and so much JSON."""
    with path.open("rb") as file:
        begin, size = file.read(9), path.stat().st_size
    return begin[8:] == b"{" and int.from_bytes(begin[:8], "little") <= size - 8


class _PackedError(Exception):
    """An archive that is larger once it is unpacked."""


def _check_packing(path: Path) -> None:
    """Refuse a zip archive that would unpack into more than it has; torch packs nothing."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    size = path.stat().st_size
    if unpacked > size:
        raise _PackedError(f"its {size:,} bytes would unpack to {unpacked:,}, and torch.save packs nothing")


def _from_hugging_face(state: Mapping[str, Tensor], place: str) -> dict[str, Tensor]:
    renamed = {_official_name(name.removeprefix("vit."), place): tensor for name, tensor in state.items()}
    joined: dict[str, Tensor] = {}
    for name, tensor in renamed.items():
        if ".attn.query." in name:
            parts = [name.replace(".query.", f".{kind}.") for kind in ("query", "key", "value")]
            missing = [part for part in parts if part not in renamed]
            if missing:
                raise UserError(f"{place}: '{missing[0]}' is missing beside '{name}'; the file is incomplete")
            joined[name.replace(".query.", ".qkv.")] = torch.cat([renamed[part] for part in parts])
        elif ".attn.key." not in name and ".attn.value." not in name:
            joined[name] = tensor
    return joined


def _official_name(name: str, place: str) -> str:
    block = _HUGGING_FACE_BLOCK.fullmatch(name)
    module, _, leaf = (block["part"] if block else name).rpartition(".")
    if block and module in _HUGGING_FACE_PARTS:
        stack = "decoder_blocks" if block["stack"].startswith("decoder") else "blocks"
        return f"{stack}.{block['index']}.{_HUGGING_FACE_PARTS[module]}.{leaf}"
    if name in _HUGGING_FACE_TOP:
        return _HUGGING_FACE_TOP[name]
    if module in _HUGGING_FACE_TOP:
        return f"{_HUGGING_FACE_TOP[module]}.{leaf}"
    raise UserError(
        f"{place}: '{name}' is no part of Hugging Face's ViTMAE; give a ViTMAE model's state dict"
    )
