"""The grammar of a study file's key `search`: what is tuned, and between which values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Annotated, Any, ClassVar

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from cmae_ablate.study.component_types import Kind
from cmae_ablate.study.file_model import FileModel, expected, expected_number
from cmae_ablate.study.names import is_same
from cmae_ablate.study.trial_keys import Settings, check_values, schema_of

MAX_TRIALS, MAX_TUNING_SEEDS = 100_000, 100
DEFAULT_SEEDS = 3
ON_VALIDATION = "validation_"
"""How the metrics that evaluations compute on validation images begin, after the evaluation's label."""
DEFAULT_METRIC = "linear_probe.validation_top1"
_KEPT = (
    ("dataset", "all trials are tuned on the same images"),
    ("evaluations", "tuning must not change how a trial is measured"),
)
_VALUES = "a list of choices, or {low: ..., high: ..., log: true|false}, is expected"
_SPACE = "the keys to tune are expected, each with low and high or a list of choices"


class IntervalFile(FileModel):
    """Numbers that a search may try, both ends included; whole numbers where both ends are."""

    called: ClassVar[str] = "an interval"
    low: float
    """The smallest."""
    high: float
    """The largest."""
    log: bool = False
    """Whether they are drawn on a logarithmic scale."""

    @model_validator(mode="after")
    def _rises(self) -> IntervalFile:
        if not self.low < self.high:
            raise ValueError("low must be a number below high")
        if self.log and self.low <= 0:
            raise ValueError("low must be above 0 on a logarithmic scale")
        return self


@dataclass(frozen=True)
class _Tried:
    """Annotation: what a search may try for a setting of a kind, a list of values or an interval."""

    kind: Kind

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def _check(self, value: Any) -> Any:
        if isinstance(value, dict):
            IntervalFile.model_validate(value)
            check_values(self.kind, {end: value[end] for end in ("low", "high")})
        elif not isinstance(value, list) or not value:
            raise ValueError(_VALUES)
        else:
            check_values(self.kind, {str(index): choice for index, choice in enumerate(value)})
            if any(is_same(one, other) for one, other in combinations(value, 2)):
                raise ValueError("a choice stands there twice; remove one")
        return value

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        kind = schema_of(self.kind, handler)
        choices = {"type": "array", "items": kind, "minItems": 1, "uniqueItems": True}
        ends = {"properties": {"low": kind, "high": kind}}
        tried = [choices, {**schema_of(IntervalFile, handler), **ends}]
        return {"description": "What is tried: choices, or an interval.", "anyOf": tried}


@cache
def _tried(kind: Kind) -> Kind:
    return Annotated[Any, _Tried(kind)]


def _whole(most: int) -> Any:
    return expected_number(f"a whole number from 1 to {most} is expected")


_Yes = Annotated[bool, expected("true or false is expected")]


class SearchFile(FileModel):
    """What is tuned for each variant, on validation images, before the table's seeds are trained."""

    called: ClassVar[str] = "a search"
    space: Annotated[dict[str, Any], Settings(kept=_KEPT, of=_tried, empty=_SPACE)]
    """What is tuned: by the key of a trial a list of choices, or an interval `{low, high, log}`."""
    trials: Annotated[int, Field(ge=1, le=MAX_TRIALS), _whole(MAX_TRIALS)] = 10
    """Tuning trials of each variant."""
    seeds: Annotated[int, Field(ge=1, le=MAX_TUNING_SEEDS), _whole(MAX_TUNING_SEEDS)] = DEFAULT_SEEDS
    """Trainings of each trial, which is judged by their mean."""
    metric: Annotated[
        str,
        Field(pattern=rf"(^|[.]){ON_VALIDATION}[^.]*$"),
        expected(
            f"a metric on validation data is expected, such as {DEFAULT_METRIC}: tables keep the test data"
        ),
    ] = DEFAULT_METRIC
    """What is tuned for: a metric on validation data."""
    prune: _Yes = False
    """Whether trials that fall behind the median are stopped early."""
    repeat: _Yes = False
    """Whether each seed of the table is tuned anew, so that its intervals include the tuning."""
