"""Several data sets in one study: a block each, which is an ordinary study of its own.

`datasets` of a study file names them. Each becomes a study `NAME-LABEL` with its own cells, controls and
report; nothing else about it is otherwise than in a study of one data set. What they say together is pooled
afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from cmae_ablate.components.registry import SLOTS
from cmae_ablate.errors import UserError, suggest
from cmae_ablate.study.file_model import at_key
from cmae_ablate.study.layering import Setting
from cmae_ablate.study.settings import Tree, brief
from cmae_ablate.study.trial_keys import check_values, schema_of, type_at
from cmae_ablate.study.yaml_source import YamlOrigin, load_yaml

DATASET, DATASETS = "dataset", "datasets"
LABEL = "^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"
"""The regular expression of a data set's label, which becomes part of a folder's name on any system."""


class _Blocks:
    """Annotation: data sets by label."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"data sets are expected, as LABEL: {{name: ...}}, not {brief(value)}")
        if len(value) < 2:
            raise ValueError("two data sets or more are expected; a single one is written as dataset in set")
        folded: dict[str, str] = {}
        for label in value:
            if not re.fullmatch(LABEL, label):
                raise at_key(
                    label,
                    "a folder is named by this label: use up to 40 letters, digits, - and _, and begin "
                    "with a letter or digit",
                )
            twin = folded.setdefault(label.lower(), label)
            if twin != label:
                raise at_key(label, f"some systems take this and '{twin}' for one folder; rename one")
        check_values(type_at((DATASET,)), value)
        return value

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "type": "object",
            "minProperties": 2,
            "propertyNames": {"pattern": LABEL},
            "additionalProperties": schema_of(type_at((DATASET,)), handler),
        }


Blocks = Annotated[dict[str, Any], _Blocks()]
"""The data sets of a study, by label."""


def labels_of(path: Path) -> tuple[str, ...]:
    """The labels of a study's data sets; empty where it has one, or where `load` will say what is wrong.

    Raises:
        UserError: The file is no YAML.
    """
    found = load_yaml(path)[0].get(DATASETS)
    return tuple(map(str, found)) if isinstance(found, Mapping) else ()


def check_label(wanted: str | None, labels: Sequence[str], file: str) -> None:
    """Refuse a data set that the study does not have, and none where it has several.

    Raises:
        UserError: It is none of them.
    """
    if wanted is None and labels:
        raise UserError(
            f"{file}: this study has several data sets; name one, as in --dataset {labels[0]}; there are: "
            f"{', '.join(labels)}"
        )
    if wanted is not None and not labels:
        raise UserError(f"--dataset {wanted}: {file} has no datasets to choose from; leave the option out")
    if wanted is not None and wanted not in labels:
        raise UserError(
            f"--dataset {wanted}: the study has no such data set; {suggest(wanted, list(labels))}"
        )


def check_scale(labels: Sequence[str], scale: str) -> None:
    """Refuse another scale whose folder `NAME-SCALE` would be that of a data set, `NAME-LABEL`.

    Raises:
        UserError: It would.
    """
    twin = next((label for label in labels if f"{label}-".startswith(f"{scale}-")), None)
    if twin is not None:
        raise UserError(
            f"--scale {scale}: the data set '{twin}' is called as the scale is, and results would share a "
            "folder; rename the data set, or the scale's file"
        )


def settings_for(label: str | None, labels: Sequence[str], settings: Sequence[str]) -> list[Setting]:
    """What `--set` says for one data set: `datasets.LABEL.OPTION` of that label as `dataset.OPTION`.

    As typed, where the study has a single data set (None).

    Raises:
        UserError: A text sets the data set of all, or of none.
    """
    if label is None:
        return [Setting.of(text) for text in settings]
    found: list[Setting] = []
    for text in settings:
        name, equals, value = text.partition("=")
        first, *rest = name.strip().split(".")
        if first == DATASET:
            raise UserError(
                f"--set {text}: the study has several data sets; set one of them, as in --set "
                f"{DATASETS}.{labels[0]}.{'.'.join(rest) or 'name'}={value}"
            )
        if first != DATASETS:
            found.append(Setting.of(text))
            continue
        if not rest or rest[0] not in labels:
            raise UserError(
                f"--set {text}: the study has no such data set; "
                f"{suggest(rest[0] if rest else '', list(labels))}"
            )
        if rest[0] == label:
            found.append(Setting(text, f"{'.'.join([DATASET, *rest[1:]])}{equals}{value}"))
    return found


def check_distinct(trees: Mapping[str, Tree], origin: YamlOrigin) -> None:
    """Refuse the same data under two labels, whether or not their defaults are written out.

    Args:
        trees: What all trials share on each data set, by label.
        origin: Of the study file.

    Raises:
        UserError: Two are the same.
    """
    seen: dict[str, str] = {}
    for label, tree in trees.items():
        node = tree[DATASET]
        try:
            options = SLOTS[DATASET][node["name"]].validate({k: v for k, v in node.items() if k != "name"})
        except (KeyError, ValidationError, TypeError):
            continue  # said where this data set is loaded
        twin = seen.setdefault(json.dumps([node["name"], options], sort_keys=True), label)
        if twin != label:
            raise origin.error(
                (DATASETS, label),
                f"this is the data set '{twin}' once more; remove one, or change its options",
            )
