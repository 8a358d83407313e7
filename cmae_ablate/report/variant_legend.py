"""The legend below a figure that shows every variant in a colour of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.short_labels import ShortLabels
from cmae_ablate.report.theme import wrapped

WIDTH = 58
"""Characters of a label beside the longest handle, in one column of a paper."""


@dataclass(frozen=True)
class VariantLegend:
    """Labels below the panels; short ones stand side by side.

    Attributes:
        labels: By the variant's place in the study, which gives its colour in every figure; wrapped.
        columns: How many stand side by side.
        title: Above them, where they are no whole labels.
    """

    labels: dict[int, str]
    columns: int
    title: str | None

    @classmethod
    def of(
        cls, variants: Sequence[str], study: StudyDescription, *, short: int, abreast: int
    ) -> VariantLegend:
        """The legend of these variants of a study.

        Args:
            variants: In table order.
            study: Theirs.
            short: Labels up to this many characters stand `abreast`.
            abreast: How many of them.
        """
        names = ShortLabels.of(study)
        labels = {
            study.variants.index(label): wrapped(names.in_legend(label), WIDTH, 2) for label in variants
        }
        columns = abreast if max(map(len, labels.values())) <= short else 1
        return cls(labels, columns, names.legend_title)

    @property
    def inches(self) -> float:
        """The height that it needs."""
        lines = sum(text.count("\n") + 1.1 for text in self.labels.values())
        return 0.13 * lines / self.columns + 0.3 + 0.13 * bool(self.title)

    def add_to(self, figure: Figure, handle: Callable[[int], Line2D], *, length: float) -> None:
        """Draw it below the panels.

        Args:
            figure: Laid out with room of `inches`.
            handle: Draws what stands for a variant, from its place in the study.
            length: Of that, in font sizes.
        """
        handles = []
        for place, text in self.labels.items():
            own = handle(place)
            own.set_label(text)
            handles.append(own)
        figure.legend(
            handles=handles,
            title=self.title,
            alignment="left",
            loc="outside lower left",
            labelspacing=0.35,
            handlelength=length,
            ncols=self.columns,
        )
