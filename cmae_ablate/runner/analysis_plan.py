"""The analysis plan of a study: recorded once, at its first run, and compared with ever after.

'Not declared beforehand' has to be known, not assumed: a contrast that is declared after looking, a margin
that is widened or a seed that is added makes p values too small, and a study file alone does not show it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cmae_ablate.errors import UserError, writing
from cmae_ablate.files import read_regular, write_atomically
from cmae_ablate.report.frame import PlanStatus, StudyDescription
from cmae_ablate.report.seed_rule import Looks, SeedRule, Sharing
from cmae_ablate.report.wording import counted, listing
from cmae_ablate.study.loading import Study
from cmae_ablate.study.settings import Tree
from cmae_ablate.study.study_file import MAX_LOOKED_AT

PLAN_FILE = "analysis_plan.json"
MAX_BYTES = 16 * 2**20
TERMS, CONTRASTS, ALL = "main effects and two-way interactions", "contrasts", "variants against the reference"
SHOWN = 4


class RuleRecord(BaseModel):
    """By which rule seeds are added, as a study file says it, and how contrasts share the 5 %.

    Attributes:
        sharing: Plans that were recorded before correlations counted do not say it, and keep to Bonferroni's.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    seeds: int = Field(ge=2)
    block: int = Field(ge=1)
    max_seeds: int = Field(ge=3, le=MAX_LOOKED_AT)
    precision: float | None
    smallest_effect: float | None
    sharing: Sharing = "bonferroni"

    @classmethod
    def of(cls, rule: SeedRule) -> RuleRecord:
        """As it is recorded."""
        return cls.model_validate(rule.to_json() | {"sharing": rule.sharing})

    @property
    def rule(self) -> SeedRule:
        """The same as the report has it."""
        looks = Looks(self.seeds, self.block, self.max_seeds)
        return SeedRule(looks, self.precision, self.smallest_effect, self.sharing)


class AnalysisPlan(BaseModel):
    """What a study meant to test before it had a single number.

    Attributes:
        contrasts: The (variant, against) pairs of Holm's family, also where the study declares none.
        family: Where they come from: `contrasts`, all variants, or, of a grid, its terms and no pairs.
        margin: Of equivalence, in the metric's unit.
        seeds: The planned number; with a rule the largest.
        rule: By which seeds are added, as the study file says it; null where their number is fixed.
        positive_control: As the study says it.
        time: UTC, ISO 8601.
        study_sha256: Of `study` as canonical JSON (sorted keys, no blanks).
        study: The study file as resolved: questions, levels, and every setting that all trials share.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    question: str
    metric: str
    reference: str
    contrasts: list[list[str]]
    family: str
    margin: float | None
    seeds: int
    positive_control: Any
    variance: str
    time: str
    study_sha256: str
    study: dict[str, Any]
    rule: RuleRecord | None = None


def plan_of(study: Study, description: StudyDescription) -> AnalysisPlan:
    """The plan that this study states now, with the present time."""
    content = _resolved(study)
    family = TERMS if description.tests_terms else CONTRASTS if description.contrasts else ALL
    return AnalysisPlan(
        question=study.question,
        metric=study.metric,
        reference=description.reference,
        contrasts=[list(pair) for pair in description.family],
        family=family,
        margin=study.equivalence_margin,
        seeds=study.planned_seeds,
        positive_control=content["positive_control"],
        variance=description.variance,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        study_sha256=_sha256(content),
        study=content,
        rule=None if study.rule is None else RuleRecord.of(study.rule),
    )


def record_plan(study: Study, description: StudyDescription, folder: Path) -> None:
    """Write the plan into the study's folder; a plan that lies there stays as it is.

    Seeds beyond the file's that the first command asks for (`--seeds`) are planned: nothing is known yet.

    Raises:
        UserError: The folder cannot be written.
        NoRoomError: Its disk is full.
    """
    path = folder / PLAN_FILE
    if path.exists():
        return
    asked = {"seeds": max(study.seeds, study.planned_seeds)}
    text = plan_of(study, description).model_copy(update=asked).model_dump_json(indent=1) + "\n"
    with writing(path, "choose another --out"):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())


def read_plan(path: Path) -> AnalysisPlan | None:
    """The recorded plan, or None where there is none.

    Raises:
        UserError: The file is no plan.
    """
    if not path.exists():
        return None
    remedy = (
        "restore it from a copy, or move it aside: `report` then says that nothing is known of a plan, and "
        "`run` records one of today"
    )
    try:
        return AnalysisPlan.model_validate_json(read_regular(path, MAX_BYTES))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except ValidationError as error:
        raise UserError(f"{path}: damaged ({_fault(error)}); {remedy}") from error


def _fault(error: ValidationError) -> str:
    """What is wrong with a file that is no plan, in words."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid" or not place:
        return "it is no whole plan: cut short, or of another program"
    return f"its key '{place}' is {'missing' if first['type'] == 'missing' else 'not what a plan has there'}"


def with_plan(description: StudyDescription, study: Study, plan: AnalysisPlan | None) -> StudyDescription:
    """The study as its report tells it in the light of the plan.

    The plan decides what was declared: its pairs stay Holm's family and its number of seeds the planned one,
    whatever the study file says by now.
    """
    if plan is None:
        return description
    now = plan_of(as_begun(study, plan), description)
    family = tuple((pair[0], pair[1]) for pair in plan.contrasts if len(pair) == 2)
    changed_family = set(family) != set(description.family)
    return replace(
        description,
        plan=PlanStatus(plan.time, tuple(_changes(plan, now, study.seeds))),
        planned_family=family if changed_family else None,
        seeds=plan.seeds,
        asked=study.seeds if study.seeds < plan.seeds else None,
        rule=None if plan.rule is None else plan.rule.rule,
    )


def as_begun(study: Study, plan: AnalysisPlan | None) -> Study:
    """The study with its contrasts' shares as its first run had them, which a study file does not say."""
    if study.rule is None or plan is None or plan.rule is None:
        return study
    return replace(study, rule=replace(study.rule, sharing=plan.rule.sharing))


def _changes(then: AnalysisPlan, now: AnalysisPlan, asked: int) -> Iterator[str]:
    """What differs, the parts that decide an answer first; `asked` is the number of seeds asked for now."""
    named = {
        "question": "the question",
        "metric": "the metric",
        "reference": "the reference",
        "margin": "the margin of equivalence",
        "positive_control": "the positive control",
        "variance": "the estimate of variance",
    }
    for key, words in named.items():
        before, after = getattr(then, key), getattr(now, key)
        if before != after:
            yield f"{words} was {_value(before)} and is {_value(after)}"
    if then.rule != now.rule:
        before, after = (_rule(each) for each in (then, now))
        yield f"the rule for adding seeds was {before} and is {after}"
    elif then.seeds not in (now.seeds, asked):
        yield f"{counted(then.seeds, 'seed')} planned, now {asked}"
    planned, declared = ([tuple(pair) for pair in plan.contrasts] for plan in (then, now))
    added = [_pair(pair) for pair in declared if pair not in planned]
    removed = [_pair(pair) for pair in planned if pair not in declared]
    if added:
        yield f"contrasts added, and therefore exploratory: {listing(added, SHOWN)}"
    if removed:
        yield f"contrasts no longer declared, though still counted: {listing(removed, SHOWN)}"
    if then.family != now.family and TERMS in (then.family, now.family):
        yield f"the tested family was {then.family} and is {now.family}"
    settings = list(_settings(then.study, now.study))
    if settings:
        yield f"settings: {listing(settings, SHOWN)}"


def _rule(plan: AnalysisPlan) -> str:
    return f"none, with {counted(plan.seeds, 'seed')}" if plan.rule is None else plan.rule.rule.words


def _pair(pair: tuple[str, ...]) -> str:
    return " against ".join(f"\u2018{label}\u2019" for label in pair)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"\u2018{text[:80]}\u2019" if isinstance(value, str) else "none" if value is None else text[:80]


NAMED_ELSEWHERE = {
    *("question", "metric", "reference", "contrasts", "equivalence_margin", "seeds"),
    *("positive_control", "variance", "rule"),
}


def _settings(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    before, after = (
        dict(_flat({key: value for key, value in study.items() if key not in NAMED_ELSEWHERE}))
        for study in (then, now)
    )
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            old, new = (_value(side[key]) if key in side else "not there" for side in (before, after))
            yield f"{key.removeprefix('settings.')} was {old} and is {new}"


def _flat(tree: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _flat(value, f"{place}.{key}" if place else str(key))
    else:
        yield place, tree


def _resolved(study: Study) -> Tree:
    """The study file after scale, `set` and `--set`: plain data, without where they came from."""
    content = {
        "question": study.question,
        "scale": study.scale,
        "design": list(study.designs),
        "factors": {factor.name: factor.written for factor in study.factors},
        "reference": dict(study.reference),
        "seeds": study.planned_seeds,
        "metric": study.metric,
        "report": list(study.report),
        "contrasts": [list(pair) for pair in study.contrasts],
        "equivalence_margin": study.equivalence_margin,
        "variance": study.variance,
        "budget": study.budget,
        "positive_control": study.positive_control.written,
        "search": study.search.identity if study.search is not None else None,
        "settings": study.base,
    }
    if study.rule is not None:
        content["rule"] = study.rule.to_json()
    if study.datasets:
        content["datasets"] = list(study.datasets)
    if study.redraws:
        content["redraw_data"] = True
    # Plain JSON types, as they are read back: a tuple that became a list is no change.
    plain: Tree = json.loads(json.dumps(content, default=str))
    return plain


def _sha256(content: Tree) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
