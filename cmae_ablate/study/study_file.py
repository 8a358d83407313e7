"""The grammar of a study file: one model that checks a file and is its JSON Schema.

It says what can be said of each value by itself. What several have to do with each other, such as a
reference and the levels, is checked where they are read: `loading`, `names`, `search`, `design`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from cmae_ablate.errors import suggest
from cmae_ablate.study.data_sets import Blocks
from cmae_ablate.study.file_model import FileModel, expected, expected_number, tag
from cmae_ablate.study.names import PRINTABLE
from cmae_ablate.study.search_file import SearchFile
from cmae_ablate.study.settings import brief
from cmae_ablate.study.trial_keys import (
    ANY,
    Changes,
    Settings,
    check_values,
    pattern_of,
    schema_of,
    trial_paths,
    type_at,
)
from cmae_ablate.study.yaml_source import KeyPath

MAX_SEEDS = 1000
MAX_LOOKED_AT = 100
LOOKED_AT_EXPECTED = f"a number of seeds from 3 to {MAX_LOOKED_AT} is expected"
POINTS_EXPECTED = "a positive number of points is expected"
SEEDS_EXPECTED = f"a number of seeds from 1 to {MAX_SEEDS} is expected"
RESERVED = ("variant", "seed", "state", "imported", "fingerprint", "weights_sha256", "device")
"""Columns of trials.csv, whose names no factor can have."""
Design = Literal["grid", "one_factor", "add_one", "leave_one_out", "path", "search"]
Budget = Literal["epochs", "flops", "time"]
Variance = Literal["paired", "pooled", "moderated"]
Keep = Literal["model", "all"]


def _is_name(value: Any) -> Any:
    if isinstance(value, list | dict):
        raise ValueError("a name is expected")
    return value


def _one_of(choices: Any) -> Any:
    known = list(get_args(choices))
    return expected(lambda value: f"{brief(value)} is none of them; {suggest(str(value), known)}")


def _no_design(value: Any) -> str:
    known, names = list(get_args(Design)), value if isinstance(value, list) else [value]
    if not names:
        return f"no design is given; choose from: {', '.join(known)}"
    wrong = next((str(name) for name in names if name not in known), "")
    return f"no design is called '{wrong}'; {suggest(wrong, known)}"


def _no_levels(value: Any) -> str:
    if isinstance(value, list) and any(isinstance(level, dict | list) for level in value):
        return (
            "a list of levels has plain values only, which are their own labels; write these without its "
            "dashes or brackets, each as LABEL: VALUE"
        )
    return "at least one level is needed, as LABEL: VALUE"


Text = Annotated[str, Field(pattern=r"\S"), expected("a text is expected")]
Name = Annotated[
    Any, AfterValidator(_is_name), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})
]
"""A name, which is read as the file spells it, however YAML would type it."""
Points = Annotated[float, Field(gt=0), expected_number(POINTS_EXPECTED)]
Pair = Annotated[
    list[Name], Field(min_length=2, max_length=2), expected("two variants are expected: [variant, against]")
]
_WORSE = "a set of changes is expected, such as {training: {epochs: 5}}, or none"
_KEPT_BY_CONTROLS = (
    ("dataset", "controls are compared on the same images"),
    ("evaluations", "controls are measured as the reference is"),
)
_SEARCHES: JsonDict = {"anyOf": [{"const": "search"}, {"type": "array", "contains": {"const": "search"}}]}
_BY_RULE: JsonDict = {"anyOf": [{"required": ["precision"]}, {"required": ["smallest_effect"]}]}
_TOGETHER: JsonDict = {
    "allOf": [
        {
            "if": {"required": ["search"]},
            "then": {"properties": {"design": _SEARCHES, "budget": {"const": "epochs"}}},
            "else": {"properties": {"design": {"not": _SEARCHES}}},
        },
        {
            "if": _BY_RULE,
            "then": {
                "required": ["max_seeds"],
                "properties": {"seeds": {"minimum": 2}, "variance": {"const": "paired"}, "search": False},
            },
            "else": {"properties": {"max_seeds": False, "block": False}},
        },
    ]
}
"""What goes with a search, and with seeds that are added by a rule, as `loading` checks it, for editors."""


class FactorFile(FileModel):
    """What is varied, and between what."""

    called: ClassVar[str] = "a factor"
    path: Annotated[str, expected("a key of the trial is expected, or '.' for several at once")]
    """The key of a trial that is varied: a component, one option, or `.` for several at once."""
    levels: Annotated[
        Annotated[dict[str, Any], Field(min_length=1)] | Annotated[list[Name], Field(min_length=1)],
        expected(_no_levels),
    ]
    """What the key is set to, by a label of your own; a list of plain values, which are their own labels."""

    @property
    def keys(self) -> KeyPath:
        """The path in a trial; empty for several keys at once."""
        return _keys(self.path)

    @field_validator("path")
    @classmethod
    def _leads_somewhere(cls, path: str) -> str:
        type_at(_keys(path))  # says so where it does not
        return path

    @field_validator("levels")
    @classmethod
    def _fit_the_path(cls, levels: Any, info: ValidationInfo) -> Any:
        labels = list(levels) if isinstance(levels, dict) else [str(level) for level in levels]
        # Of what is listed twice, in quotes and without, `names.listed` says so, which is plainer.
        if "path" in info.data and len(set(labels)) == len(labels):
            values = levels if isinstance(levels, dict) else {str(at): each for at, each in enumerate(levels)}
            check_values(type_at(_keys(info.data["path"])), values)
        return levels

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        paths: dict[str, KeyPath] = {".": (), **{".".join(path): path for path in trial_paths()}}
        patterns = {name: {"pattern": pattern_of(name)} for name, path in paths.items() if ANY in path}
        plain = [name for name in paths if name not in patterns]
        schema["properties"]["path"]["anyOf"] = [{"enum": plain}, *patterns.values()]
        schema["properties"]["levels"]["propertyNames"] = {"pattern": PRINTABLE}
        schema["allOf"] = []
        for name, path in paths.items():
            level, at = schema_of(type_at(path), handler), patterns.get(name, {"const": name})
            levels = {"levels": {"additionalProperties": level, "items": level}}
            schema["allOf"].append({"if": {"properties": {"path": at}}, "then": {"properties": levels}})
        return schema


def _keys(path: str) -> KeyPath:
    return () if path == "." else tuple(path.split("."))


class StudyFile(FileModel):
    """A study: what is asked, what is varied, how often, and what decides."""

    model_config = ConfigDict(json_schema_extra=_TOGETHER)
    called: ClassVar[str] = "a study"
    question: Text
    """One sentence that stands above the table."""
    scale: Text
    """How big the experiment is: cpu, hour, tiny, gpu, paper, or a file like studies/scales/cpu.yaml."""
    design: Annotated[Design | Annotated[list[Design], Field(min_length=1)], expected(_no_design)]
    """Which combinations of levels are trained; of a list the union. `search` tunes each of them first."""
    factors: Annotated[
        dict[str, FactorFile],
        Field(
            json_schema_extra={
                "minProperties": 1,
                "propertyNames": {"pattern": PRINTABLE, "not": {"enum": [*RESERVED]}},
            }
        ),
    ]
    """What is varied, by a name of your own."""
    reference: Annotated[dict[str, Name], expected("a mapping is expected; see studies/ for examples")]
    """What all else is compared with: one level of every factor."""
    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS), expected_number(SEEDS_EXPECTED)]
    """How often each variant is trained: seeds 0 to N-1, shared by all, so that differences are paired."""
    max_seeds: Annotated[int, Field(ge=3, le=MAX_LOOKED_AT), expected_number(LOOKED_AT_EXPECTED)] = None  # type: ignore[assignment]  # only where the key is not there
    """The most seeds that `precision` or `smallest_effect` may add up to; `seeds` are then the first ones."""
    block: Annotated[
        int, Field(ge=1, le=MAX_LOOKED_AT), expected_number("1 seed or more at a time is expected")
    ] = 1
    """How many seeds are added at a time, where they are added until something is known."""
    precision: Points = None  # type: ignore[assignment]  # as above
    """Seeds are added until each declared difference is known to plus and minus this many points."""
    smallest_effect: Points = None  # type: ignore[assignment]  # as above
    """Seeds are added until each declared contrast differs, or is equal within this many points."""
    metric: Text
    """What decides: EVALUATION.NUMBER, such as `linear_probe.top1`."""
    report: Annotated[list[Name], expected("a list of texts is expected")] = Field(default_factory=list)
    """Further metrics that are shown."""
    contrasts: list[Pair] = Field(default_factory=list)
    """The comparisons that the question is about, as [variant, against]; by default the design's own."""
    budget: Annotated[Budget, _one_of(Budget)] = "epochs"
    """What all variants get equally much of."""
    set: Changes | None = None
    """Fixed changes to every trial, on top of the scale."""
    equivalence_margin: Annotated[Annotated[float, Field(gt=0)] | None, expected_number(POINTS_EXPECTED)] = (
        None
    )
    """Differences below this many points of the metric count as equal."""
    variance: Annotated[Variance, _one_of(Variance)] = "paired"
    """What a comparison is tested by: its own differences, all cells, or the former drawn to the latter."""
    keep: Annotated[Keep, _one_of(Keep)] = "model"
    """What of a complete cell stays on disk: its model, or `all`, the last training state too."""
    datasets: Blocks = None  # type: ignore[assignment]  # as above
    """Data sets by a label of your own: the study runs on each, and is pooled over three or more."""
    redraw_data: Annotated[bool, expected("true or false is expected")] = False
    """Whether each seed draws images of its own, so that intervals cover new draws of the data."""
    search: SearchFile = None  # type: ignore[assignment]  # only where the key is not there
    """What is tuned for each variant before the table's seeds are trained."""
    positive_control: Annotated[
        Annotated[dict[str, Any], Settings(kept=_KEPT_BY_CONTROLS, empty=_WORSE), Tag(tag("changes"))]
        | Annotated[
            Literal["none"] | None, expected(lambda value: f"{_WORSE}, not {brief(value)}"), Tag(tag("none"))
        ],
        Discriminator(lambda value: tag("changes" if isinstance(value, dict) else "none")),
    ] = None
    """What makes the reference known to be worse, or `none`; by default a quarter of its epochs."""
