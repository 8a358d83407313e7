"""`export`: weights for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from rich.console import Console

from cmae_ablate.cli.targets import check_target, written
from cmae_ablate.cli.weights.source import Checkpoint, open_checkpoint
from cmae_ablate.components.decoders.transformer import TransformerDecoder
from cmae_ablate.components.targets.pixels import PixelTarget
from cmae_ablate.components.vit_encoder import VitEncoder
from cmae_ablate.errors import UserError, suggest
from cmae_ablate.terminal import say
from cmae_ablate.training.interop import MaskedAutoencoder, export_encoder, heads_in, timm_sizes

FORMATS = ("timm", "mae", "safetensors")


def export_checkpoint(place: Path, settings: Sequence[str], form: str, out: Path, console: Console) -> None:
    """Write a checkpoint in another program's layout, and say how to load it there.

    Args:
        place: A checkpoint.
        settings: `PATH=VALUE` texts: the heads of an MAE file whose width does not tell them.
        form: `timm`, `mae` (with the decoder where MAE's is one) or `safetensors`.
        out: File to write.
        console: Where to say it.

    Raises:
        UserError: The checkpoint, a setting, the format or `out` is wrong, or the encoder is no vision
            transformer of this package.
    """
    if form not in FORMATS:
        raise UserError(f"--format {form}: there is no such format; {suggest(form, list(FORMATS))}")
    is_replaced = check_target(out, source=place)
    _check_ending(form, out)
    checkpoint = open_checkpoint(place, settings, ())
    encoder = checkpoint.encoder
    if not isinstance(encoder, VitEncoder):
        raise UserError(f"{place}: a {type(encoder).__name__} has no layout in {form}; only VitEncoders have")
    whole = _as_mae(checkpoint, encoder)
    export_encoder(whole, out, format=cast("Literal['timm', 'mae', 'safetensors']", form))
    if form == "mae":
        what = (
            "encoder and decoder" if whole.decoder is not None else "encoder alone: the decoder is not MAE's"
        )
        hint = f"{what}; heads: encoder {heads_in(encoder)}" + (
            f", decoder {heads_in(whole.decoder)}" if whole.decoder is not None else ""
        )
    else:
        hint = f"encoder of {timm_model(encoder)}, with load_state_dict or timm.models.load_checkpoint"
    say(f"{written(out, is_replaced)} ({hint})", console)


def _check_ending(form: str, out: Path) -> None:
    """Refuse a name by which timm, and others that go by it, would read the file as one of the other kind."""
    if (form == "safetensors") == (out.suffix == ".safetensors"):
        return
    kind, ending = ("as safetensors", ".safetensors") if form == "safetensors" else ("by torch.save", ".pth")
    raise UserError(f"--out {out}: --format {form} is written {kind}; let the name end in {ending}")


def timm_model(encoder: VitEncoder) -> str:
    """The call that builds the empty timm model into which the exported weights go."""
    arguments = ", ".join(f"{name}={value}" for name, value in timm_sizes(encoder).items())
    return f"timm.models.VisionTransformer({arguments})"


def _as_mae(checkpoint: Checkpoint, encoder: VitEncoder) -> MaskedAutoencoder:
    decoder, target = (
        (checkpoint.model.decoder, checkpoint.model.target) if checkpoint.model else (None, None)
    )
    if type(decoder) is TransformerDecoder and isinstance(target, PixelTarget):
        return MaskedAutoencoder(encoder, decoder, target.normalize).eval()
    # Another decoder, or another target, has no place in MAE's layout.
    return MaskedAutoencoder(encoder, None, norm_pix=True).eval()
