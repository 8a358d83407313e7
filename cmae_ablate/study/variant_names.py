"""Names that variants, contrasts and factors cannot have, once all variants are known."""

from __future__ import annotations

from collections.abc import Collection

from cmae_ablate.errors import suggest
from cmae_ablate.study.loading import Study

MEASURED = ("pretrain.", "params.", "flops.", "seconds.", "memory.", "crop.")
"""What columns of `trials.csv` begin with that no evaluation makes."""


def check_labels(study: Study, labels: list[str], reference: str, controls: Collection[str]) -> None:
    """Refuse labels that a table could not tell apart, also from its controls.

    Args:
        study: The study.
        labels: Of its variants.
        reference: The label that the others are compared with.
        controls: What a table calls its controls.

    Raises:
        UserError: Two variants share a label, one has a control's, or the reference is none of them.
    """
    for label in labels:
        if labels.count(label) > 1:
            raise study.error(("factors",), f"two variants are called '{label}'; rename a level")
        if label.casefold() in controls:
            raise study.error(
                ("factors",), f"'{label}' is what every table calls one of its controls; rename the level"
            )
    if reference not in labels:
        designs = ", ".join(study.designs)
        raise study.error(
            ("reference",), f"'{reference}' is no variant of design {designs}; {suggest(reference, labels)}"
        )


def check_contrasts(study: Study, labels: list[str]) -> None:
    """Refuse contrasts that compare nothing, or the same two once more.

    Raises:
        UserError: At the contrast.
    """
    for index, pair in enumerate(study.contrasts):
        place = ("contrasts", str(index))
        for label in pair:
            if label not in labels:
                raise study.error(place, f"no variant is called '{label}'; {suggest(label, labels)}")
        variant, against = pair
        if variant == against:
            raise study.error(place, f"'{variant}' is compared with itself; name two variants")
        if (against, variant) in study.contrasts[:index]:
            raise study.error(
                place,
                f"'{against}' is compared with '{variant}' already, the other way round; remove one of the "
                "two, as each counts among the comparisons that p values are corrected for",
            )


def check_factor_names(study: Study, metrics: Collection[str]) -> None:
    """Refuse factors that `trials.csv` would have two columns of.

    Args:
        study: The study.
        metrics: What its evaluations measure, as `knn.top1`.

    Raises:
        UserError: At the factor.
    """
    for factor in study.factors:
        if factor.name in metrics or factor.name.startswith(MEASURED):
            raise study.error(
                ("factors", factor.name),
                f"trials.csv has what is measured in a column '{factor.name}'; call the factor otherwise",
            )
