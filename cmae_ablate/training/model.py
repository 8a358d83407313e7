"""A trial assembled: encoder, decoder and further objectives, from views to named loss terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from cmae_ablate.components.networks import Encoder, Objective, Term, View, offers
from cmae_ablate.components.protocols import (
    ComparesItself,
    Decoder,
    FillsEncoder,
    FollowsEncoder,
    Masking,
    PredictionReader,
    SequenceDecoder,
    Target,
)
from cmae_ablate.errors import UserError
from cmae_ablate.runtime import Runtime, seeded, set_precision, stream
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.tokens import PatchMask


class MaskedImageModel(nn.Module):
    """MAE and whatever objectives a trial adds to it.

    Attributes:
        num_views: Views of each image that a step needs.
        fills: Whether the decoder's mask token enters the encoder.
        predicts_all: Whether an objective reads the decoder's predictions, those of visible patches too.
        weights: Factor of each loss term.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        masking: Masking,
        target: Target,
        objectives: Mapping[str, Objective],
        spec: TrialSpec,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.objectives = nn.ModuleDict(objectives)
        self.masking = masking
        self.target = target
        self.shared_mask = spec.training.shared_mask
        self.fills = isinstance(decoder, FillsEncoder)
        self._has_own_loss = isinstance(target, ComparesItself)
        self.reconstruct_all = spec.training.reconstruct == "all"
        needed = [objective.num_views for objective in objectives.values()]
        self.predicts_all = any(_reads_predictions(objective) for objective in objectives.values())
        self.num_views = max([spec.training.num_views, *needed])
        self.weights = {"reconstruction": 1.0, **{name: item.weight for name, item in objectives.items()}}

    def sample_masks(self, batch: int, seed: int, epoch: int, step: int) -> list[PatchMask]:
        """One mask a view; all views share the first where the trial says so."""
        views = [0] * self.num_views if self.shared_mask else range(self.num_views)
        return [self.masking.sample(batch, stream(seed, "masking", epoch, step, view)) for view in views]

    def forward(
        self, images: Sequence[Tensor], masks: Sequence[PatchMask], rngs: Mapping[str, torch.Generator]
    ) -> dict[str, Term]:
        """Loss terms by name.

        Args:
            images: Normalised views, each (B, C, H, W).
            masks: One a view.
            rngs: A generator for each objective, by name.
        """
        views = self.encode_views(images, masks)
        if self.predicts_all:
            decoder = cast("SequenceDecoder", self.decoder)
            views = [replace(view, predictions=decoder.predict_all(view)) for view in views]
        terms = {"reconstruction": self.reconstruction(views if self.reconstruct_all else views[:1])}
        for name, objective in self.objectives.items():
            terms[name] = objective(views, self.encoder, rngs[name])
        return terms

    def encode_views(self, images: Sequence[Tensor], masks: Sequence[PatchMask]) -> list[View]:
        """Encode all views in one pass."""
        joint = PatchMask(
            torch.cat([mask.ids_keep for mask in masks]), torch.cat([mask.ids_hidden for mask in masks])
        )
        if self.fills:
            filling = cast("FillsEncoder", self.decoder).filling()
            every = self.encoder.encode_filled(torch.cat(list(images)), joint, filling)
            shown = 1 + joint.ids_keep.shape[1]
            parts = zip(images, masks, every.chunk(len(images)), strict=True)
            return [View(i, mask, each[:, :shown], hidden=each[:, shown:]) for i, mask, each in parts]
        tokens = self.encoder.encode(torch.cat(list(images)), joint).chunk(len(images))
        return [View(*parts) for parts in zip(images, masks, tokens, strict=True)]

    def reconstruction(self, views: Sequence[View]) -> Term:
        """The target's loss over the hidden patches of the views; the mean squared error, if it has none."""
        losses = [
            self._compared(self._predicted(view).float(), self.target(view.images, view.mask))
            for view in views
        ]
        return Term(torch.stack(losses).mean())

    def _compared(self, predictions: Tensor, targets: Tensor) -> Tensor:
        if self._has_own_loss:
            return cast("ComparesItself", self.target).loss(predictions, targets)
        return (predictions - targets).square().mean()

    def _predicted(self, view: View) -> Tensor:
        """The decoder's predictions on hidden patches, (B, M, Q): not computed again where they are known."""
        if view.predictions is None:
            return self.decoder(view)
        return view.predictions[:, view.tokens.shape[1] :]

    def total(self, terms: Mapping[str, Term]) -> Tensor:
        """The weighted sum that is minimised."""
        return torch.stack([self.weights[name] * term.loss for name, term in terms.items()]).sum()

    def after_step(self, progress: float) -> None:
        """Let target and objectives update their moving averages; `progress` in [0, 1]."""
        if isinstance(self.target, FollowsEncoder):
            self.target.after_step(self.encoder, progress)
        for module in self.objectives.values():
            cast("Objective", module).after_step(self.encoder, progress)


def assemble(spec: TrialSpec, image_size: int) -> MaskedImageModel:
    """Build the trial's model on the CPU, every part from an initialisation stream of its own.

    Args:
        spec: The trial.
        image_size: Side of the encoder's input in pixels.

    Raises:
        UserError: The parts do not fit, such as a patch size that does not divide the image.
    """
    encoder = build_encoder(spec, image_size)
    masking = spec["masking"].build(encoder.grid)
    target: Target = spec["target"].build(encoder.patch_size)
    if isinstance(target, FollowsEncoder):
        with seeded(spec.seed, "init", "target"):
            target.attach(encoder)
    with seeded(spec.seed, "init", "decoder"):
        decoder: Decoder = spec["decoder"].build(encoder.embed_dim, encoder.grid, target.dim())
    _check_filling(encoder, decoder, spec)
    objectives: dict[str, Objective] = {}
    for name, choice in spec.objectives.items():
        with seeded(spec.seed, "init", "objectives", name):
            objectives[name] = choice.build(encoder)
        _check_predictions(name, objectives[name], decoder, target.dim(), spec)
    return MaskedImageModel(encoder, decoder, masking, target, objectives, spec)


def _check_filling(encoder: Encoder, decoder: Decoder, spec: TrialSpec) -> None:
    """Refuse a decoder whose mask tokens an encoder does not take."""
    if isinstance(decoder, FillsEncoder) and not offers(encoder, "encode_filled"):
        raise UserError(
            f"decoder '{spec['decoder'].name}' puts mask tokens into the encoder, and backbone "
            f"'{spec['backbone'].name}' takes none; give it the method encode_filled() that "
            "cmae_ablate.slots.Encoder describes, or set decoder.name to transformer"
        )


def _reads_predictions(objective: object) -> bool:
    return isinstance(objective, PredictionReader) and objective.prediction_dim is not None


def _check_predictions(
    name: str, objective: Objective, decoder: Decoder, target_dim: int, spec: TrialSpec
) -> None:
    """Refuse an objective that reads predictions which this decoder, or this target, does not give."""
    if not (isinstance(objective, PredictionReader) and objective.prediction_dim is not None):
        return
    place = f"objectives.{name} '{spec.objectives[name].name}'"
    if not isinstance(decoder, SequenceDecoder):
        raise UserError(
            f"{place} reads predictions for every token, and decoder '{spec['decoder'].name}' makes them for "
            "hidden patches alone; set decoder.name to transformer, or another feature"
        )
    if objective.prediction_dim != target_dim:
        raise UserError(
            f"{place} reads predicted pixels, {objective.prediction_dim} a patch, and target "
            f"'{spec['target'].name}' has {target_dim} values; set target.name to pixels, or another feature"
        )


def build_encoder(spec: TrialSpec, image_size: int) -> Encoder:
    """The encoder alone, as it is before any training."""
    with seeded(spec.seed, "init", "backbone"):
        encoder: Encoder = spec["backbone"].build(image_size)
    return encoder


def smoke(spec: TrialSpec, image_size: int, device: torch.device | None = None) -> None:
    """One forward and backward step on noise: what cannot run must say so before hour zero.

    Args:
        spec: The trial; the step has its precision.
        image_size: Side of the encoder's input in pixels.
        device: Where the cells will run; a CPU by default.

    Raises:
        UserError: The parts do not fit each other or the image.
        DivergedError: The loss of the first step is not finite.
    """
    runtime = Runtime(device or torch.device("cpu"), spec.training.precision)
    set_precision(runtime)
    model = assemble(spec, image_size).to(runtime.device)
    rng = stream(0, "smoke")
    shape = (2, 3, image_size, image_size)
    images = [torch.randn(shape, generator=rng).to(runtime.device) for _ in range(model.num_views)]
    masks = [mask.to(runtime.device) for mask in model.sample_masks(2, 0, 0, 0)]
    rngs = {name: stream(0, "smoke", name) for name in spec.objectives}
    with runtime.autocast():
        loss = model.total(model(images, masks, rngs))
    loss.backward()
