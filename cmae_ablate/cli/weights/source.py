"""A checkpoint found on disk: a pretraining of ours, or a published MAE as if it were one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor

from cmae_ablate.checkpoint import weights_sha256
from cmae_ablate.components.loading import load_components
from cmae_ablate.components.networks import Encoder
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import UserError
from cmae_ablate.files import DamagedError
from cmae_ablate.runner.finished import RESULT, WEIGHTS, read_pretraining
from cmae_ablate.runner.progress import preparation
from cmae_ablate.study.assignments import read_assignment
from cmae_ablate.study.settings import SpecError, Tree, apply, default_tree
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.terminal import say
from cmae_ablate.training.interop import load_mae_checkpoint
from cmae_ablate.training.model import MaskedImageModel, assemble

Keys = tuple[str, ...]

OF_FILES: tuple[Keys, ...] = (("backbone", "heads"), ("decoder", "heads"), ("target", "normalize"))
"""What the weights of an MAE do not tell, so that `--set` may say it."""


@dataclass(frozen=True)
class Checkpoint:
    """Pretrained weights, and the trial that they are used in.

    Attributes:
        place: Folder or file, as given.
        spec: The trial as recorded, or MAE's; with the changes of `--set`.
        encoder: In eval mode, on the CPU, fp32.
        model: Encoder and decoder; None where a file holds the encoder alone.
        sha256: Of parameters and buffers.
        fingerprint: Name of the pretraining's folder; None for a file of others.
        recorded: The trial as it was pretrained; None for a file of others.
    """

    place: Path
    spec: TrialSpec
    encoder: Encoder
    model: MaskedImageModel | None
    sha256: str
    fingerprint: str | None = None
    recorded: TrialSpec | None = None


def open_checkpoint(place: Path, settings: Sequence[str], allowed: Sequence[Keys]) -> Checkpoint:
    """Load weights.

    Args:
        place: Folder of a finished pretraining, its `model.safetensors`, or an MAE's file.
        settings: `PATH=VALUE` texts.
        allowed: Keys of the trial that these may change; for files those of `OF_FILES` too.

    Raises:
        UserError: Nothing usable is there, or a setting is wrong or changes what is already trained.
    """
    load_components()
    if not place.exists():
        raise UserError(
            f"{place}: there is no such file or folder; give a pretraining folder "
            "(OUT/cache/pretrain/FINGERPRINT), its model.safetensors, or an MAE checkpoint"
        )
    if place.is_dir() or (place.name == WEIGHTS and (place.parent / RESULT).is_file()):
        return _open_own(place, place if place.is_dir() else place.parent, settings, allowed)
    return _open_file(place, settings, (*allowed, *OF_FILES))


def open_data(checkpoint: Checkpoint, console: Console) -> DataArrays:
    """Prepare the trial's data, normalised as the encoder expects it.

    Raises:
        UserError: The data are missing or damaged.
    """

    def note(text: str) -> None:
        say(f"note: {text}", console)

    with preparation(console) as progress:
        data = checkpoint.spec["dataset"].prepare(progress, note)
    if checkpoint.recorded is None:
        # Not the data's own statistics: the released MAEs saw ImageNet's, whatever they are applied to.
        note("images are normalised by ImageNet's mean and deviation, as for published MAEs")
        return replace(data, mean=IMAGENET_DEFAULT_MEAN, std=IMAGENET_DEFAULT_STD)
    if checkpoint.recorded.pretrain_fingerprint(data.digest) != checkpoint.fingerprint:
        note(
            "these are not the data of the pretraining (or its folder was renamed, or a component's version "
            "is another today); numbers may differ from the study's"
        )
    return data


def _open_own(place: Path, folder: Path, settings: Sequence[str], allowed: Sequence[Keys]) -> Checkpoint:
    if not all((folder / name).is_file() for name in (RESULT, WEIGHTS)):
        raise UserError(
            f"{folder}: no finished pretraining is here ({RESULT} or {WEIGHTS} is missing); let the study "
            "finish it (cmae-ablate run), or give another folder"
        )
    try:
        record, state = read_pretraining(folder)
        tree = dict(record.spec)
        recorded = resolve(tree, record.seed)
    except DamagedError as error:
        raise UserError(f"{error}; remove the folder and run the study again") from error
    except SpecError as error:
        raise UserError(
            f"{folder / RESULT}: {'.'.join(error.path)}: {error.message}; use the version of this package, "
            "and the plug-ins, that trained it"
        ) from error
    model = assemble(recorded, _image_size(recorded, state, folder))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"{folder / WEIGHTS}: does not fit the recorded trial ({str(error).splitlines()[0]}); "
            "use the version of this package, and of plug-ins, that trained it"
        ) from error
    spec, fingerprint = _changed(tree, record.seed, settings, allowed), folder.resolve().name
    return Checkpoint(place, spec, model.eval().encoder, model, record.weights_sha256, fingerprint, recorded)


def _open_file(place: Path, settings: Sequence[str], allowed: Sequence[Keys]) -> Checkpoint:
    tree = default_tree()
    spec = _changed(tree, 0, settings, allowed)
    # Only what was said: a default of this package says nothing about the heads of a file.
    said = {text.partition("=")[0].strip() for text in settings}
    heads = [
        spec[slot].options["heads"] if f"{slot}.heads" in said else None for slot in ("backbone", "decoder")
    ]
    try:
        mae = load_mae_checkpoint(
            place,
            num_heads=heads[0],
            decoder_num_heads=heads[1],
            norm_pix=spec["target"].options["normalize"],
        )
    except UserError as error:
        raise UserError(_in_words_of_the_command(str(error))) from error
    encoder, decoder = mae.encoder, mae.decoder
    model = None
    if decoder is not None:
        masking = spec["masking"].build(encoder.grid)
        model = MaskedImageModel(encoder, decoder, masking, mae.target, {}, spec).eval()
    return Checkpoint(place, spec, encoder, model, weights_sha256(mae.state_dict()))


def _in_words_of_the_command(message: str) -> str:
    for argument, slot in (("set decoder_num_heads", "decoder"), ("set num_heads", "backbone")):
        message = message.replace(argument, f"--set {slot}.heads=N")
    return message


def _image_size(spec: TrialSpec, state: Mapping[str, Tensor], folder: Path) -> int:
    """Side of the encoder's input in pixels: weights tell, as the data's own size may be another today."""
    positions, kernel = (state.get(f"encoder.{name}") for name in ("pos_embed", "patch_embed.proj.weight"))
    if spec.training.image_size is not None:
        return spec.training.image_size
    if positions is not None and kernel is not None:
        return math.isqrt(positions.shape[1] - 1) * int(kernel.shape[-1])
    # A plug-in's backbone may name its tensors as it likes.
    expected = spec["dataset"].build().expected_size()
    if expected is None:
        raise UserError(
            f"{folder}: neither weights nor data set tell the image size; "
            "pretrain with training.image_size set"
        )
    size: int = expected.image_size
    return size


def _changed(tree: Tree, seed: int, settings: Sequence[str], allowed: Sequence[Keys]) -> TrialSpec:
    names = [".".join(keys) for keys in allowed]
    for text in settings:
        path, value = read_assignment(text, tree, example="evaluations.knn.k=5")
        if not any(path[: len(keys)] == keys for keys in allowed):
            choice = f"only {', '.join(names)} can be set here" if names else "nothing can be set here"
            raise UserError(f"--set {text}: the weights are trained already; {choice}")
        try:
            tree = apply(tree, path, value)
            resolve(tree, seed)
        except SpecError as error:
            inside = "" if error.path == path else f"{'.'.join(error.path)}: "
            raise UserError(f"--set {text}: {inside}{error.message}") from error
    return resolve(tree, seed)
