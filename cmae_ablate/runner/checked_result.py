"""The border that an evaluation's result crosses: whatever an own one returns, only whole results get in.

What is wrong is its author's mistake, and another attempt would end alike, so that it is a `UserError`: it
names the evaluation, the module that registers it, and what to return instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from cmae_ablate.components.evaluation_protocols import Candidate, EvaluationContext, EvaluationResult
from cmae_ablate.errors import UserError
from cmae_ablate.report.selection import CRITERION, key_of
from cmae_ablate.study.choice import Choice

_SHOWN = 40
"""Characters of a value that a message quotes."""


def checked_result(
    result: object, choice: Choice, label: str, context: EvaluationContext
) -> EvaluationResult:
    """What an evaluation returned, in the types that the Protocol names.

    0-d tensors and NumPy's numbers become Python's, arrays of predictions become tensors on the CPU.

    Args:
        result: As it came.
        choice: The evaluation.
        label: What the study calls it.
        context: What it looked at. Without an encoder, metrics that need one may be missing.

    Raises:
        UserError: It is no `EvaluationResult`; a declared metric is missing or one is not declared; a number
            is none, or not finite; or the predictions are not one known class for each test image.
    """
    border = _Border(f"evaluations.{label} (module {choice.component.module})", context)
    if not isinstance(result, EvaluationResult):
        raise border.error(f"it returned a {type(result).__name__}", "return an EvaluationResult")
    if not isinstance(result.protocol, str):
        raise border.error(
            f"its protocol is a {type(result.protocol).__name__}", "return one sentence, a str"
        )
    declared = choice.component.facts.metrics
    if not isinstance(result.candidates, list | tuple):
        raise border.error(
            f"its candidates are a {type(result.candidates).__name__}", "return a list or a tuple"
        )
    return replace(
        result,
        metrics=border.metrics(result.metrics, declared),
        predictions=None if result.predictions is None else border.predictions(result.predictions),
        chosen=border.numbers(result.chosen, "chosen setting"),
        candidates=tuple(border.candidate(each, declared) for each in result.candidates),
    )


@dataclass(frozen=True)
class _Border:
    place: str
    context: EvaluationContext

    def error(self, wrong: str, remedy: str) -> UserError:
        return UserError(f"{self.place}: {wrong}; {remedy}")

    def candidate(self, found: object, declared: tuple[str, ...]) -> Candidate:
        if not isinstance(found, Candidate):
            raise self.error(f"one of its candidates is a {type(found).__name__}", "return Candidates")
        settings = self.numbers(found.settings, "candidate's setting")
        inside = replace(self, place=f"{self.place}: candidate {key_of(settings)}")
        metrics = inside.metrics(found.metrics, declared)
        if CRITERION not in metrics:
            raise inside.error(f"it has no {CRITERION}", "candidates are chosen by it: declare and return it")
        return Candidate(settings, metrics, inside.predictions(found.predictions))

    def metrics(self, found: object, declared: tuple[str, ...]) -> dict[str, float]:
        """Exactly those that the class declares; of raw pixels, some of them."""
        numbers = {name: float(value) for name, value in self.numbers(found, "metric").items()}
        known = ", ".join(declared) or "none"
        for name in numbers:
            if name not in declared:
                raise self.error(
                    f"it returned the metric '{name}', which its class does not declare (metrics: {known})",
                    "add it to the class attribute metrics, or leave it out",
                )
        missing = [name for name in declared if name not in numbers]
        if missing and self.context.encoder is not None:
            raise self.error(
                f"it declares the metric '{missing[0]}' and did not return it",
                "return every metric that its class attribute metrics names",
            )
        return numbers

    def numbers(self, found: object, kind: str) -> dict[str, float]:
        if not isinstance(found, Mapping):
            raise self.error(
                f"a mapping of each {kind} to its number is needed, and it returned a {type(found).__name__}",
                "return a dict",
            )
        for name in found:
            if not isinstance(name, str):
                raise self.error(f"the name {name!r} of a {kind} is no text", "name it by a str")
        return {name: self._number(value, f"its {kind} '{name}'") for name, value in found.items()}

    def _number(self, value: object, what: str) -> float:
        plain = value.item() if isinstance(value, Tensor | np.ndarray) and value.ndim == 0 else value
        if isinstance(plain, bool | np.bool_) or not isinstance(plain, Real):
            shown = f"{value!r}"
            short = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
            raise self.error(f"{what} is {short} ({type(value).__name__}), not a number", "return a float")
        try:
            number = plain if isinstance(plain, int) else float(plain)
            is_finite = math.isfinite(number)
        except OverflowError:
            is_finite = False
        if not is_finite:
            raise self.error(f"{what} is {plain}, not a finite number", "return a finite one")
        return number

    def predictions(self, found: object) -> Tensor:
        """One class index for each test image, (n,), int64 on the CPU."""
        count, classes = len(self.context.data.test), self.context.data.num_classes
        remedy = f"return the class of each of the {count} test images in order, int64 of shape ({count},)"
        if not isinstance(found, Tensor | np.ndarray):
            raise self.error(f"its predictions are a {type(found).__name__}, no tensor", remedy)
        array = found.detach().cpu().numpy() if isinstance(found, Tensor) else found
        if array.dtype.kind not in "iu":
            raise self.error(f"its predictions are {array.dtype}, and a class is an integer", remedy)
        if array.shape != (count,):
            raise self.error(f"its predictions have the shape {array.shape}", remedy)
        whole = torch.from_numpy(array.astype(np.int64))
        wrong = whole[(whole < 0) | (whole >= classes)]
        if len(wrong):
            raise self.error(
                f"it predicts the class {int(wrong[0])}, and classes are 0 to {classes - 1}", remedy
            )
        return whole
