"""A study after scale, `set` and the command line, as a file that says the same, to run again."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML

from cmae_ablate.study.loading import Study
from cmae_ablate.study.search import Interval, Search


def resolved_file(study: Study) -> str:
    """YAML that `load` reads as this study, whatever the scale's file says by then."""
    text = io.StringIO()
    YAML().dump(  # keeps the order of keys
        _plain(dict(_keys(study))), text
    )
    return text.getvalue()


def _keys(study: Study) -> Iterator[tuple[str, Any]]:
    """Key and value in the order of a study file; what stands at its default is left out."""
    yield "question", study.question
    yield "scale", study.scale
    designs = (*(["search"] if study.search is not None else []), *study.designs)
    yield "design", designs[0] if len(designs) == 1 else designs
    yield "factors", {factor.name: factor.written for factor in study.factors}
    yield "reference", study.reference
    if study.rule is None:
        yield "seeds", study.planned_seeds
    else:
        yield from ((key, value) for key, value in study.rule.to_json().items() if value is not None)
    yield "metric", study.metric
    optional = {
        "report": study.report,
        "contrasts": study.contrasts,
        "equivalence_margin": study.equivalence_margin,
        "positive_control": study.positive_control.written,
        "search": None if study.search is None else _search(study.search),
    }
    yield from ((key, value) for key, value in optional.items() if value not in (None, ()))
    yield "variance", study.variance
    yield "budget", study.budget
    if study.redraws:
        yield "redraw_data", True
    yield "set", study.base


def _search(search: Search) -> Mapping[str, Any]:
    space = {
        ".".join(path): {"low": values.low, "high": values.high, "log": values.log}
        if isinstance(values, Interval)
        else values
        for path, values in search.space.items()
    }
    own = {"trials": search.trials, "seeds": search.seeds, "metric": search.metric, "space": space}
    return own | {"prune": search.prune, "repeat": search.repeat}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
