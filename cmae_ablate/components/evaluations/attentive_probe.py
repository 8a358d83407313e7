"""The attentive probe: learned queries look for what matters among the frozen patch tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cmae_ablate.components.evaluation_protocols import (
    EVALUATIONS,
    Candidate,
    EvaluationContext,
    EvaluationResult,
    Features,
)
from cmae_ablate.components.evaluations.augment import even_batch_size
from cmae_ablate.components.evaluations.candidates import CHOICE_WORDS, own_best
from cmae_ablate.components.evaluations.logistic import STD_EPS, Standardiser
from cmae_ablate.components.evaluations.resume import Stateful, epochs_done, keep_epoch
from cmae_ablate.components.evaluations.scoring import accuracies
from cmae_ablate.components.evaluations.supervised import BatchSize, Epochs, LearningRate, Warmup, WeightDecay
from cmae_ablate.components.schedule import lr_at, set_lr
from cmae_ablate.errors import DivergedError, Interrupted
from cmae_ablate.report.wording import counted
from cmae_ablate.runtime import seeded, stream

# Shapes: B batch, N patches, D width, M candidates, F fits of each, Q queries, K classes.

_NAME = "attentive_probe"
_HEAD_STD = 0.01
_BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class Setting:
    """One candidate of the grid."""

    lr: float
    weight_decay: float


@EVALUATIONS.register(_NAME, version=2, epochs="epochs", warmup="warmup_epochs")
class AttentiveProbe:
    """Learned queries attend to the frozen patch tokens, and a linear layer classifies what they pooled.

    Source: attentive probes are how masked models are read, whose mean token hides what is there: AIM
    (El-Nouby et al., arXiv 2401.08541) and V-JEPA (Bardes et al., arXiv 2404.08471) pool by cross-attention,
    CAPI (Darcet et al., arXiv 2502.08769) likewise; Psomas et al. (arXiv 2506.10178) compare the forms, and
    attend by several queries without projections. Different here: each query looks at the standardised
    tokens themselves and pools all of their width, with no projection of keys or values: those of a
    one-head cross-attention would be absorbed by the query and by the linear layer, so that each query can
    do as much at a fraction of the cost. Tokens are standardised by all training tokens rather than by each
    batch's; images are whole, not augmented, so that their tokens are encoded once. All candidates of the
    grid, learning rate times weight decay, are trained at once on the same batches.

    Which directions the queries start from decides what they find: between fits of one encoder the accuracy
    varies by 0.8 points (standard deviation on `scenes`, analysis/recipe/README.md), which would be most of
    the noise of a comparison. So each candidate is fitted several times, from initial values of its own,
    and the fits vote with their class probabilities. Candidates begin with the same values, fit by fit.

    Args:
        num_queries: Queries, each with an attention map of its own. Source: AIM and V-JEPA have one query
            and several heads; the number is ours.
        num_fits: Fits of a candidate, whose class probabilities are averaged. Source: ours.
        epochs: Passes over the training images. Source: ours.
        batch_size: Images a step; lowered to an even number that the training set allows. Source: ours.
        lr: Peak learning rates of AdamW to choose from, not scaled with the batch. Source: ours.
        weight_decay: Weight decays of AdamW to choose from; none on the bias. Source: ours.
        warmup_epochs: Linear warm-up, then half a cosine to 0. Source: ours.
    """

    metrics: tuple[str, ...] = ("top1", "validation_top1")
    trains_encoder: bool = False
    reads_tokens: bool = True

    def __init__(
        self,
        *,
        num_queries: Annotated[int, Field(ge=1, le=256)] = 4,
        num_fits: Annotated[int, Field(ge=1, le=64)] = 4,
        epochs: Epochs = 15,
        batch_size: BatchSize = 128,
        lr: Annotated[tuple[LearningRate, ...], Field(min_length=1)] = (1e-2, 3e-2, 1e-1),
        weight_decay: Annotated[tuple[WeightDecay, ...], Field(min_length=1)] = (0.1, 0.0),
        warmup_epochs: Warmup = 1.0,
    ) -> None:
        self.num_queries = num_queries
        self.num_fits = num_fits
        self.epochs = epochs
        self.batch_size = batch_size
        self.warmup_epochs = warmup_epochs if warmup_epochs < epochs else epochs / 2
        # Strongest regularisation first: the larger decay, then the smaller rate.
        pairs = itertools.product(sorted(set(weight_decay), reverse=True), sorted(set(lr)))
        self.settings = [Setting(rate, decay) for decay, rate in pairs]

    def classifier_flops(self, num_patches: int, embed_dim: int, num_classes: int) -> float:
        """Every fit's steps, forward and backward; tokens are given and get no gradient."""
        pooling = 2.0 * self.num_queries * num_patches * embed_dim
        layer = 2.0 * self.num_queries * embed_dim * num_classes
        # Scores and pooled tokens, and both once backward; the layer backward to its weights and its input.
        return self.epochs * len(self.settings) * self.num_fits * (4 * pooling + 3 * layer)

    def __call__(self, context: EvaluationContext) -> EvaluationResult:
        """Train every candidate on `train`, choose on `validation`, report on `test`."""
        data, features = context.data, context.features
        batch_size = even_batch_size(self.batch_size, len(data.train))
        standardise = token_standardiser(features).to(context.runtime.device)
        probes = ProbeGrid(self.starts(context), len(self.settings)).to(context.runtime.device)
        self.fit(probes, standardise, context, batch_size)
        predictions = {
            split: predict(probes, features.token_batches(split), standardise)
            for split in ("validation", "test")
        }
        candidates = [
            Candidate(
                settings={"lr": setting.lr, "weight_decay": setting.weight_decay},
                metrics=accuracies({"validation": of_validation, "test": of_test}, data),
                predictions=of_test,
            )
            for setting, of_validation, of_test in zip(
                self.settings, predictions["validation"], predictions["test"], strict=True
            )
        ]
        return own_best(candidates, self._protocol(batch_size))

    def starts(self, context: EvaluationContext) -> list[Queries]:
        """The initial values of each fit."""
        starts = []
        for fit in range(self.num_fits):
            with seeded(context.seed, _NAME, "init", fit):
                width = context.features.token_shape[1]
                starts.append(Queries(width, self.num_queries, context.data.num_classes))
        return starts

    def fit(
        self, probes: ProbeGrid, standardise: Standardiser, context: EvaluationContext, batch_size: int
    ) -> None:
        """Train every fit of every candidate on `train`; from where a kept state of the context was.

        Raises:
            Interrupted: The context asked to stop.
            DivergedError: No candidate's loss is finite.
        """
        device = context.runtime.device
        labels = torch.from_numpy(context.data.train.labels)
        steps = len(labels) // batch_size
        optimizer = probes.optimizer(self.settings)
        parts: dict[str, Stateful] = {"probes": probes, "optimizer": optimizer}
        for epoch in range(epochs_done(context, parts), self.epochs):
            order = torch.randperm(len(labels), generator=stream(context.seed, _NAME, "order", epoch))
            for step in range(steps):
                if context.should_stop():
                    raise Interrupted
                progress = epoch + step / steps
                schedule = {"floor": 0.0, "warmup": self.warmup_epochs, "epochs": self.epochs}
                set_lr(optimizer, lr_at(progress, peak=1.0, **schedule))
                indices = order[step * batch_size : (step + 1) * batch_size]
                tokens = standardise(context.features.tokens("train", indices).to(device))
                losses = probes.losses(tokens, labels[indices].to(device))
                optimizer.zero_grad(set_to_none=True)
                losses.sum().backward()
                optimizer.step()
                context.on_step(epoch * steps + step + 1, self.epochs * steps)
            # A rate that is too large for one candidate is no news; for all of them there is no result.
            if not torch.isfinite(losses).any():
                raise DivergedError(
                    f"{_NAME}: no candidate's loss is finite in epoch {epoch + 1}; lower its lr"
                )
            keep_epoch(context, epoch + 1, parts)

    def _protocol(self, batch_size: int) -> str:
        rates, decays = (
            ", ".join(f"{value:g}" for value in dict.fromkeys(values))
            for values in (
                [setting.lr for setting in self.settings],
                [setting.weight_decay for setting in self.settings],
            )
        )
        return (
            f"{self.num_queries} learned queries pool the patch tokens after the encoder's final norm (whole "
            f"images, each dimension standardised by train), linear layer; mean probability of "
            f"{self.num_fits} fits; {counted(self.epochs, 'epoch')} of AdamW "
            f"(batch {batch_size}) on train, last epoch; learning rate among {rates} and weight decay among "
            f"{decays}, {CHOICE_WORDS}."
        )


class Queries(nn.Module):
    """The parameters of one probe, initialised from torch's global generator."""

    def __init__(self, width: int, num_queries: int, num_classes: int) -> None:
        super().__init__()
        # Scores of standardised tokens have unit variance, so that the maps differ at once. Dividing them by
        # the root of the width at each step, as attention does, would slow the queries' learning by as much.
        self.queries = nn.Parameter(torch.randn(num_queries, width) / width**0.5)
        self.weight = nn.Parameter(torch.empty(num_queries * width, num_classes))
        self.bias = nn.Parameter(torch.zeros(num_classes))
        nn.init.trunc_normal_(self.weight, std=_HEAD_STD)


class ProbeGrid(nn.Module):
    """Probes of one architecture that see the same batches; no parameter is shared.

    Args:
        starts: Where the fits of every candidate begin, F of them.
        count: Candidates, M.
    """

    def __init__(self, starts: Sequence[Queries], count: int) -> None:
        super().__init__()
        self.num_fits = len(starts)
        probes = list(starts) * count  # candidate-major: (M, F)
        self.queries, self.weight, self.bias = (
            nn.ParameterList([nn.Parameter(start.detach().clone()) for start in values])
            for values in (
                [probe.queries for probe in probes],
                [probe.weight for probe in probes],
                [probe.bias for probe in probes],
            )
        )

    def optimizer(self, settings: Sequence[Setting]) -> torch.optim.AdamW:
        """AdamW of all candidates; the rate set at each step is a share of each candidate's own."""
        groups = []
        for place, setting in enumerate(s for s in settings for _ in range(self.num_fits)):
            decayed = [self.queries[place], self.weight[place]]
            groups.append({"params": decayed, "lr_scale": setting.lr, "weight_decay": setting.weight_decay})
            groups.append({"params": [self.bias[place]], "lr_scale": setting.lr, "weight_decay": 0.0})
        return torch.optim.AdamW(groups, betas=_BETAS, fused=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Standardised tokens (B, N, D) to logits of every fit, (M, F, B, K)."""
        queries = torch.cat(list(self.queries))
        scores = tokens @ queries.T
        maps = scores.transpose(1, 2).softmax(dim=2)
        pooled = (maps @ tokens).reshape(len(tokens), len(self.queries), -1)
        logits = torch.baddbmm(
            torch.stack(list(self.bias)).unsqueeze(1), pooled.transpose(0, 1), torch.stack(list(self.weight))
        )
        by_fit: Tensor = logits.unflatten(0, (-1, self.num_fits))
        return by_fit

    def losses(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of every fit, (M, F), on tokens (B, N, D) and labels (B,)."""
        logits = self(tokens)
        candidates, fits = logits.shape[:2]
        targets = labels.repeat(candidates * fits)
        every = functional.cross_entropy(logits.flatten(0, 2), targets, reduction="none")
        return every.reshape(candidates, fits, -1).mean(dim=2)


def token_standardiser(features: Features) -> Standardiser:
    """Mean and deviation of each dimension over all patch tokens of `train`: BatchNorm without affine."""
    count, total, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
    for batch in features.token_batches("train"):
        tokens = batch.flatten(0, 1).double().cpu()
        count, total, squares = count + len(tokens), total + tokens.sum(0), squares + tokens.square().sum(0)
    mean = total / count
    variance = (squares / count - mean.square()).clamp(min=0.0)
    return Standardiser(mean.float(), (variance + STD_EPS).sqrt().float())


def predict(probes: ProbeGrid, batches: Iterator[Tensor], standardise: Standardiser) -> Tensor:
    """Classes by each candidate, (M, n) int64 on the CPU; tokens come in batches (b, N, D)."""
    found = []
    with torch.no_grad():
        for batch in batches:
            logits = probes(standardise(batch.to(standardise.mean.device)))
            found.append(logits.softmax(dim=3).mean(dim=1).argmax(dim=2).cpu())
    return torch.cat(found, dim=1)
