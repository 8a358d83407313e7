"""What several keys of a study file have to do with each other, as far as it is known before any trial is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cmae_ablate.study.data_sets import check_distinct, settings_for
from cmae_ablate.study.layering import Change, Factor, layered
from cmae_ablate.study.search_file import ON_VALIDATION
from cmae_ablate.study.settings import changes
from cmae_ablate.study.study_file import StudyFile
from cmae_ablate.study.yaml_source import KeyPath, YamlOrigin


def check_together(file: StudyFile, origin: YamlOrigin) -> None:
    """Refuse keys that contradict each other.

    Raises:
        UserError: Some do.
    """
    if ("search" in file.design) != (file.search is not None):
        raise origin.error(
            ("design",), "design search and the key search, which says what is tuned, go together"
        )
    if file.search is not None and file.budget != "epochs":
        raise origin.error(
            ("budget",),
            "a search may change what a variant costs, so an equal budget cannot be kept; remove either",
        )
    label, dot, name = file.metric.strip().rpartition(".")
    if file.search is not None and name.startswith(ON_VALIDATION):
        raise origin.error(
            ("metric",),
            f"the search chooses settings by validation images, so '{name}' makes them look better than they "
            f"are; name the metric on test images, as {label}{dot}{name.removeprefix(ON_VALIDATION)}",
        )

    if file.redraw_data and file.search is not None:
        raise origin.error(("redraw_data",), "a search tunes on one draw of the data; remove either")
    if file.redraw_data and file.budget != "epochs":
        raise origin.error(
            ("redraw_data",), "an equal budget is measured on one draw of the data; use budget: epochs"
        )
    by_rule = file.precision is not None or file.smallest_effect is not None
    if file.redraw_data and by_rule:
        raise origin.error(
            ("redraw_data",), "how many draws are needed is not known beforehand; use a fixed number of seeds"
        )
    if file.datasets is not None and by_rule:
        raise origin.error(
            ("datasets",),
            "seeds that are added until something is known differ in number between data sets, which the "
            "pooled interval does not allow for; use a fixed number of seeds",
        )


def check_data_sets(
    file: StudyFile,
    origin: YamlOrigin,
    fixed: Sequence[Change],
    settings: Sequence[str],
    factors: Sequence[Factor],
) -> None:
    """Refuse data sets that are named elsewhere too, that share a folder, or that are the same.

    Args:
        file: The study.
        origin: Where its keys stand.
        fixed: What the scale and the study set.
        settings: Texts of `--set`.
        factors: Of the study.

    Raises:
        UserError: One is.
    """
    if file.set is not None and _names_data(changes((), file.set)):
        raise origin.error(("set",), "datasets says what is trained on; put the options of a data set there")
    for factor in factors:
        if factor.name == "dataset":
            raise origin.error(
                ("factors", factor.name), "the tables of all data sets have a column of this name; rename it"
            )
        for label, level in factor.levels.items():
            if _names_data(changes(factor.path, level)):
                raise origin.error(
                    ("factors", factor.name, "levels", label),
                    "datasets says what is trained on, and a level cannot change it; remove either",
                )
    labels = tuple(file.datasets)
    trees = {}
    for label, block in file.datasets.items():
        change = Change(("dataset",), block, origin.below("datasets", label))
        trees[label], _ = layered([*fixed, change], settings_for(label, labels, settings), factors)
    check_distinct(trees, origin)


def _names_data(settings: Iterator[tuple[KeyPath, Any]]) -> bool:
    return any(place[:1] == ("dataset",) for place, _ in settings)
