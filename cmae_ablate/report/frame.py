"""What a report is given: the study in plain words, and what it may show beside the numbers.

Nothing here knows how a cell was trained; a report needs `trials.csv` and this description, no more.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cmae_ablate.report.seed_rule import SeedRule

if TYPE_CHECKING:
    import pandas as pd

    from cmae_ablate.report.searched import Searched

Cell = tuple[str, int]
"""A variant's label and a seed."""

Pair = tuple[str, str]
"""A variant's label, and that of the variant it is compared with."""


@dataclass(frozen=True)
class PlanStatus:
    """What is known of the plan that the study's first run recorded.

    Attributes:
        recorded: When, as UTC in ISO 8601.
        changes: What the study says otherwise now, a phrase each.
    """

    recorded: str
    changes: tuple[str, ...] = ()

    @property
    def when(self) -> str:
        """To the minute: `2026-11-26 07:00 UTC`; as recorded where that is no such time."""
        try:
            return datetime.fromisoformat(self.recorded).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        except ValueError:
            return self.recorded


@dataclass(frozen=True)
class StudyDescription:
    """A study as its report tells it.

    Attributes:
        variants: Labels in table order, the reference among them.
        levels: Per variant the level label of each factor.
        evaluations: Per factor the evaluations that its levels set, by what metrics' names begin with.
        encodings: Factors whose levels set what equal weights compute, or of which images: a backbone's
            heads, the data set, the precision.
        seeds: Planned number of seeds; they are 0 to `seeds` - 1, and any other was added later.
        metric: The column of `trials.csv` that the question is decided by.
        report: Further columns to show; they decide nothing.
        contrasts: Declared (variant, against) pairs; empty: all against the reference, and of a full grid
            its main effects and two-way interactions.
        protocols: Per metric a sentence with protocol, feature, layer and normalisation, for captions.
        notes: Free lines for the caption, such as the budget.
        equivalence_margin: Differences inside plus or minus this, in the metric's unit, count as equal.
        variance: What the declared test estimates a difference's variance from: `paired`, `pooled` or
            `moderated` (see `variance.py`).
        budget: What all variants get equally much of: `epochs`, `flops` or `time`.
        budget_note: The line among `notes` that says so.
        fingerprints: Expected fingerprint of each cell, where the study can tell.
        asked: How many of the planned seeds this run asked for, where not all (`--seeds`).
        plan: The recorded plan, where one is known.
        planned_family: The pairs of the recorded plan, where the study now declares others.
        positive_control: What makes the positive control worse, in words; empty where nothing is known of it.
        trained_on: The data set, in a word or two, where it is known.
        setting: What all variants share, by heading: data set, images, backbone, epochs and the like.
        caveat: What results on this data set cannot show; empty where nothing is known against it.
        path: The variants from all off to all on, each with one more factor on; empty without such a design.
        rule: By which seeds are added; None where their number is fixed. `seeds` is then the largest number.
        redraws: Whether each seed has a draw of the data of its own, which intervals over seeds then cover.
        tunes_each_seed: Whether each seed has settings of its own, so that its costs may be others, too.
    """

    name: str
    question: str
    scale: str
    variants: tuple[str, ...]
    reference: str
    factors: Mapping[str, tuple[str, ...]]
    levels: Mapping[str, Mapping[str, str]]
    seeds: int
    metric: str
    report: tuple[str, ...] = ()
    contrasts: tuple[Pair, ...] = ()
    protocols: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    equivalence_margin: float | None = None
    variance: str = "paired"
    budget: str = "epochs"
    budget_note: str = ""
    fingerprints: Mapping[Cell, str] = field(default_factory=dict)
    asked: int | None = None
    plan: PlanStatus | None = None
    planned_family: tuple[Pair, ...] | None = None
    positive_control: str = ""
    trained_on: str = ""
    setting: Mapping[str, str] = field(default_factory=dict)
    caveat: str = ""
    path: tuple[str, ...] = ()
    rule: SeedRule | None = None
    evaluations: Mapping[str, frozenset[str]] = field(default_factory=dict)
    encodings: frozenset[str] = frozenset()
    redraws: bool = False
    tunes_each_seed: bool = False

    def is_judged_alike(self, pair: Pair, metric: str) -> bool:
        """Whether equal weights of both variants are one encoder, and are evaluated in one way."""
        ours, theirs = (self.levels.get(variant, {}) for variant in pair)
        evaluating = {f for f, found in self.evaluations.items() if metric.partition(".")[0] in found}
        return all(ours.get(factor) == theirs.get(factor) for factor in evaluating | self.encodings)

    @property
    def expected_seeds(self) -> range:
        """The seeds that every variant should have a complete cell of."""
        if self.rule is not None:
            return range(self.rule.looks.first)
        return range(self.seeds if self.asked is None else min(self.asked, self.seeds))

    @property
    def interval(self) -> str:
        """What the two-sided 95 % intervals of differences are called."""
        return "t interval" if self.rule is None else "repeated confidence interval"

    @property
    def family(self) -> tuple[Pair, ...]:
        """The (variant, against) pairs that Holm's correction covers; none where it covers a grid's terms."""
        if self.planned_family is not None:
            return self.planned_family
        return self.contrasts or (() if self.is_grid else self.against_reference)

    @property
    def added_contrasts(self) -> tuple[Pair, ...]:
        """Contrasts that the recorded plan does not have: shown, and outside of Holm's correction."""
        return tuple(pair for pair in self.contrasts if pair not in self.family)

    @property
    def against_reference(self) -> tuple[Pair, ...]:
        """Every other variant with the reference."""
        return tuple((v, self.reference) for v in self.variants if v != self.reference)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every comparison: with the reference, and the declared contrasts."""
        return tuple(dict.fromkeys((*self.against_reference, *self.contrasts)))

    @property
    def crossed_factors(self) -> tuple[str, ...]:
        """The factors with at least two levels."""
        return tuple(factor for factor, levels in self.factors.items() if len(levels) > 1)

    @property
    def is_grid(self) -> bool:
        """Whether the variants are every combination of at least two factors' levels."""
        crossed = self.crossed_factors
        have = {tuple(self.levels.get(v, {}).get(f, "") for f in crossed) for v in self.variants}
        return len(crossed) > 1 and have == set(itertools.product(*(self.factors[f] for f in crossed)))

    @property
    def tests_terms(self) -> bool:
        """Whether Holm's family is the grid's main effects and two-way interactions."""
        return self.is_grid and not self.family


@dataclass(frozen=True)
class ReportExtras:
    """What a finished run can add to a report made from `trials.csv` alone; all of it optional.

    Attributes:
        curves: Columns `variant, seed, epoch, name, value`, one row per logged number; names that begin with
            `crop.` tell how well boxes were localised.
        progress: Columns `variant, seed, epoch, metric, value`: accuracies on validation images on the way.
        searched: The tuning trials of a study with a search.
        reconstructions: Per variant a picture (PNG, JPEG, WebP) of original, masked, reconstructed.
        crop_boxes: Per variant a picture of where its crops fall on a few training images.
        correct: Per cell which test images the deciding metric counts as right, (num_images,) bool, in one
            image order for all cells.
        clusters: What each of these test images belongs to, (num_images,): its place where that is known,
            else its class; images of one cluster are alike, so that clusters are the sample of images.
        warnings: Per cell a sentence about its encoder, such as that its features have collapsed.
        notes: What else a reader must know, such as what was left out on reading.
        links: Per cell the address of its run.
        links_name: What these runs are of, as `MLflow`.
        links_open: What to type for these addresses to open.
        environment: Versions, hardware, threads: shown as given.
        command: The command line that repeats the study.
        git: Commit and whether the tree was clean.
        study_file: The study as resolved, as a file that repeats it.
    """

    curves: pd.DataFrame | None = None
    progress: pd.DataFrame | None = None
    searched: Searched | None = None
    reconstructions: Mapping[str, Path] = field(default_factory=dict)
    crop_boxes: Mapping[str, Path] = field(default_factory=dict)
    correct: Mapping[Cell, npt.NDArray[np.bool_]] = field(default_factory=dict)
    clusters: npt.NDArray[np.int64] | None = None
    warnings: Mapping[Cell, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    links: Mapping[Cell, str] = field(default_factory=dict)
    links_name: str = "MLflow"
    links_open: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    git: str = ""
    study_file: str = ""


@dataclass(frozen=True)
class ReportFiles:
    """What `write_report` made.

    Attributes:
        paths: File name to path, everything that was written.
        answer: One sentence that the numbers support.
        table: The rounded table for a terminal, header first.
        notes: What a reader must know about the cells: missing, unpaired, added later, unlike the study.
        naming: What the table's names are, where they are not the variants' labels; else empty.
        marks: What the marks behind its differences mean; empty without any.
    """

    paths: Mapping[str, Path]
    answer: str
    table: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    naming: str = ""
    marks: str = ""
