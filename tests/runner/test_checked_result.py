"""What an own evaluation returns is taken whole or refused, with its name, its module and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from cmae_ablate.cli.weights.evaluating import evaluate_checkpoint
from cmae_ablate.components.evaluation_protocols import (
    EVALUATIONS,
    Candidate,
    EvaluationContext,
    EvaluationResult,
)
from cmae_ablate.components.evaluations.features import PixelFeatures
from cmae_ablate.data.arrays import DataArrays
from cmae_ablate.errors import UserError
from cmae_ablate.runner.cell import CellContext, run_cell
from cmae_ablate.runner.checked_result import checked_result
from cmae_ablate.runner.control_cells import raw_pixel_control, untrained_control
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.run import run_study
from cmae_ablate.runtime import Runtime
from cmae_ablate.study.choice import Choice
from cmae_ablate.study.settings import apply
from cmae_ablate.study.trial_spec import TrialSpec, resolve
from cmae_ablate.training.loop import Hooks
from tests.components.evaluations.patterns import pattern_context
from tests.whole_study import optuna_trials, quiet, said, write_study

PLACE = rf"^evaluations\.own \(module {__name__.replace('.', '[.]')}\): "
GOOD = {"top1": 50.0, "validation_top1": 25.0}


class Own:
    """Somebody's own evaluation: it returns whatever a test wants."""

    metrics = ("top1", "validation_top1")
    trains_encoder = False
    changes: ClassVar[dict[str, Any]] = {}

    def __call__(self, context: EvaluationContext) -> EvaluationResult:
        return replace(good(len(context.data.test)), **self.changes)


def good(count: int) -> EvaluationResult:
    return EvaluationResult(GOOD, torch.zeros(count, dtype=torch.int64), "A sentence.")


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Choice]:
    EVALUATIONS.register("own", version=1)(Own)
    monkeypatch.setattr(Own, "changes", {})
    yield Choice("evaluations", "own", 1, {})
    del EVALUATIONS._components["own"]


def checked(own: Choice, context: EvaluationContext, **changes: object) -> EvaluationResult:
    result = replace(good(len(context.data.test)), **changes)  # type: ignore[arg-type]  # what is wrong too
    return checked_result(result, own, "own", context)


NUMBERS = [7, 7.0, np.float32(7), np.int64(7), np.array(7.0), torch.tensor(7.0), torch.tensor(7)]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: type(number).__name__)
def test_any_real_number_becomes_a_float(number: object, own: Choice) -> None:
    found = checked(own, pattern_context(), metrics={**GOOD, "top1": number}).metrics["top1"]
    assert (found, type(found)) == (7.0, float)


@pytest.mark.parametrize("kind", [torch.int16, torch.uint8, torch.int32])
def test_predictions_of_any_integers_become_int64_on_the_cpu(kind: torch.dtype, own: Choice) -> None:
    classes = [0, 1, 2, 3] * 10
    for predictions in (torch.tensor(classes, dtype=kind), torch.tensor(classes, dtype=kind).numpy()):
        found = checked(own, pattern_context(), predictions=predictions).predictions
        assert found is not None
        assert (found.dtype, found.device.type, found.tolist()) == (torch.int64, "cpu", classes)


def test_none_are_no_predictions(own: Choice) -> None:
    assert checked(own, pattern_context(), predictions=None).predictions is None


WRONG_METRICS = [
    ({"top1": "high", "validation_top1": 1.0}, r"its metric 'top1' is 'high' \(str\), not a number"),
    ({**GOOD, "top1": torch.zeros(2)}, r"its metric 'top1' is tensor\(.*Tensor\), not a number"),
    ({**GOOD, "top1": None}, r"its metric 'top1' is None \(NoneType\), not a number"),
    ({**GOOD, "top1": True}, r"its metric 'top1' is True \(bool\), not a number"),
    ({**GOOD, "top1": 1j}, "not a number"),
    ({**GOOD, "top1": torch.tensor(True)}, "not a number"),
    ({**GOOD, "validation_top1": float("nan")}, "its metric 'validation_top1' is nan, not a finite number"),
    ({**GOOD, "top1": torch.tensor(float("-inf"))}, "its metric 'top1' is -inf, not a finite number"),
    ({**GOOD, "top1": 10**400}, "not a finite number"),
    ({"top1": 1.0}, "declares the metric 'validation_top1' and did not return it"),
    ({**GOOD, "bonus": 1.0}, r"the metric 'bonus', which its class does not declare \(metrics: top1, vali"),
    ({**GOOD, 3: 1.0}, "the name 3 of a metric is no text"),
    ([1.0, 2.0], "it returned a list; return a dict"),
]


@pytest.mark.parametrize(("metrics", "message"), WRONG_METRICS)
def test_metrics_are_the_declared_ones_and_finite_numbers(metrics: object, message: str, own: Choice) -> None:
    with pytest.raises(UserError, match=f"{PLACE}.*{message}"):
        checked(own, pattern_context(), metrics=metrics)


def test_raw_pixels_may_lack_a_metric_that_needs_an_encoder_but_have_no_other(own: Choice) -> None:
    data = pattern_context().data
    pixels = EvaluationContext(None, PixelFeatures(data), data, Runtime(), 0)
    assert checked(own, pixels, metrics={"top1": 1.0}).metrics == {"top1": 1.0}
    with pytest.raises(UserError, match="'bonus', which its class does not declare"):
        checked(own, pixels, metrics={"top1": 1.0, "bonus": 1.0})


WRONG_PREDICTIONS = [
    (torch.zeros(3, dtype=torch.int64), r"the shape \(3,\); return the class of each of the 40 test images"),
    (torch.zeros(40, 1, dtype=torch.int64), r"the shape \(40, 1\)"),
    (torch.zeros(40), "are float32, and a class is an integer"),
    (torch.zeros(40, dtype=torch.bool), "are bool, and a class is an integer"),
    (np.array(["a"] * 40), "a class is an integer"),
    ([0] * 40, "are a list, no tensor"),
    (torch.full((40,), 4), "predicts the class 4, and classes are 0 to 3"),
    (torch.full((40,), -1), "predicts the class -1, and classes are 0 to 3"),
]


@pytest.mark.parametrize(("predictions", "message"), WRONG_PREDICTIONS)
def test_predictions_are_one_class_for_each_test_image(
    predictions: object, message: str, own: Choice
) -> None:
    with pytest.raises(UserError, match=f"{PLACE}.*{message}"):
        checked(own, pattern_context(), predictions=predictions)


RIGHT = torch.zeros(40, dtype=torch.int64)
WRONG_CANDIDATES = [
    (Candidate({"l2": 0.5}, GOOD, RIGHT[:3]), r"candidate l2=0\.5: its predictions have the shape \(3,\)"),
    (Candidate({"l2": 0.5}, {"top1": 1.0}, RIGHT), r"candidate l2=0\.5: .* 'validation_top1' and did not"),
    (Candidate({"l2": float("nan")}, GOOD, RIGHT), "candidate's setting 'l2' is nan"),
    ({"l2": 0.5}, "one of its candidates is a dict"),
]


@pytest.mark.parametrize(("candidate", "message"), WRONG_CANDIDATES)
def test_candidates_are_held_to_the_same(candidate: object, message: str, own: Choice) -> None:
    with pytest.raises(UserError, match=f"{PLACE}.*{message}"):
        checked(own, pattern_context(), candidates=[candidate])


@pytest.mark.parametrize("result", [GOOD, None, 3.0], ids=["dict", "None", "float"])
def test_anything_else_than_a_result_is_refused(result: object, own: Choice) -> None:
    with pytest.raises(UserError, match=rf"{PLACE}it returned a {type(result).__name__}; return an Eval"):
        checked_result(result, own, "own", pattern_context())


def test_cells_both_controls_and_the_command_refuse_alike_and_record_nothing(
    tiny_spec: TrialSpec, tiny_data: DataArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = {"knn": "none", "linear_probe": "none", "own": {"name": "own"}}
    spec = resolve(apply(tiny_spec.to_tree(), ("evaluations",), only))
    context = CellContext(tiny_data, Runtime(), tmp_path)
    monkeypatch.setattr(Own, "changes", {"predictions": torch.zeros(3, dtype=torch.int64)})
    for run in (run_cell, untrained_control, raw_pixel_control):
        with pytest.raises(UserError, match=rf"{PLACE}its predictions have the shape \(3,\)"):
            run(spec, context, Hooks())
    assert list(tmp_path.rglob("own-*")) == []
    monkeypatch.setattr(Own, "changes", {})
    done = run_cell(spec, context, Hooks())
    assert done.metrics["own.top1"] == 50.0
    monkeypatch.setattr(Own, "changes", {"metrics": {**GOOD, "top1": "high"}})
    with pytest.raises(UserError, match=rf"{PLACE}its metric 'top1' is 'high' \(str\), not a number"):
        evaluate_checkpoint(done.folder, [], "cpu", None, quiet())


# MLflow's own dependencies warn about each other.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_study_tries_such_a_cell_once_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, console = write_study(tmp_path), quiet()
    monkeypatch.setattr(Own, "changes", {"metrics": {**GOOD, "top1": float("nan")}})
    settings = ("evaluations.own.name=own", "evaluations.knn=none")
    text = study.read_text().replace("knn.top1", "own.top1")
    study.write_text(f"{text}positive_control: none\n")
    out = tmp_path / "runs"
    options = Options(study, settings=settings, seeds=1, workers=1, device="cpu", out=out)
    assert run_study(options, console) == 1
    assert [trial.state.name for trial in optuna_trials(out)] == ["FAIL", "FAIL"]
    told = f"failed: depth 1, seed 0: evaluations.own (module {__name__}): its metric 'top1' is nan"
    assert told in said(console)
