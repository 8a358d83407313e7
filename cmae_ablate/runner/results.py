"""What a study has found so far, as the frames and the description that a report is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmae_ablate.files import write_atomically
from cmae_ablate.queue import CellStatus
from cmae_ablate.report.cell_record import CellRecord, TrialRow, frame_of, with_identity_last
from cmae_ablate.report.frame import StudyDescription
from cmae_ablate.report.selection import Chosen, choose, is_candidate, settle
from cmae_ablate.runner.budget import Share, budget_note
from cmae_ablate.runner.imported import imported_cells
from cmae_ablate.runner.tuning_notes import tuning_note
from cmae_ablate.study.contrasts import contrasts, contrasts_note
from cmae_ablate.study.controls import CONTROL, OWNER
from cmae_ablate.study.design import Variant, has_seed, path_labels
from cmae_ablate.study.loading import Study
from cmae_ablate.study.settings import changes

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class StudyTrials:
    """A study's cells as `trials.csv` has them. Made once a report: it is asked for in many places.

    Attributes:
        statuses: One a cell of the current design, in its order.
        frame: One row a cell, with whatever is known of it.
        chosen: At which setting all cells are read, by evaluation that offers a grid: see `selection`.
    """

    statuses: Sequence[CellStatus]
    frame: pd.DataFrame
    chosen: Mapping[str, Chosen]

    @property
    def complete(self) -> pd.DataFrame:
        """The rows of complete cells."""
        return self.frame[self.frame["state"] == "COMPLETE"]

    @classmethod
    def of(cls, statuses: Sequence[CellStatus]) -> StudyTrials:
        """Of the cells as the queue knows them."""
        imported = imported_cells(statuses)
        rows = [
            TrialRow(
                status.cell.variant,
                status.cell.seed,
                status.state,
                status.cell.levels,
                status.cell.fingerprint,
                status.record,
                imported.get((status.cell.variant, status.cell.seed), ""),
            )
            for status in statuses
        ]
        frame = frame_of(rows)
        chosen = choose(frame)
        return cls(statuses, settle(frame, chosen), chosen)


def describe(
    study: Study,
    variants: Mapping[str, Mapping[str, str]],
    reference: str,
    trials: StudyTrials | None = None,
    shares: Sequence[Share] = (),
    tuned: Sequence[str] = (),
) -> StudyDescription:
    """The study in the report's words.

    Args:
        study: The study.
        variants: Level labels by factor, by variant, in table order.
        reference: Label of the reference variant.
        trials: Its cells, if any: they know protocols, and fingerprints to compare a CSV's with.
        shares: Each variant's part of a budget other than equal epochs, where it is known.
        tuned: How a search chose each variant's settings, where it is known.
    """
    statuses = trials.statuses if trials else ()
    if study.search is not None and not tuned:
        tuned = (tuning_note(study.search),)
    note = budget_note(study.budget, reference, shares)
    return StudyDescription(
        name=study.name,
        question=study.question,
        scale=study.scale,
        variants=tuple(variants),
        reference=reference,
        factors={factor.name: tuple(factor.levels) for factor in study.factors},
        levels=variants,
        evaluations={factor.name: factor.evaluations for factor in study.factors},
        encodings=frozenset(factor.name for factor in study.factors if factor.sets_encoding),
        seeds=study.planned_seeds,
        metric=study.metric,
        report=study.report,
        contrasts=contrasts(study),
        path=path_labels(study),
        equivalence_margin=study.equivalence_margin,
        variance=study.variance,
        notes=(note, *tuned, *contrasts_note(study)),
        budget=study.budget,
        budget_note=note,
        positive_control=_made_worse(study),
        protocols=protocols(trials) if trials else {},
        fingerprints={(each.cell.variant, each.cell.seed): each.cell.fingerprint for each in statuses},
        asked=study.seeds if study.seeds < study.planned_seeds else None,
        rule=study.rule,
        redraws=study.redraws,
        tunes_each_seed=study.search is not None and study.search.repeat,
    )


def _made_worse(study: Study) -> str:
    """What makes the positive control worse than the reference, in words; nothing where none is wanted."""
    control = study.positive_control
    if not control.is_wanted:
        return ""
    if control.changes is None:
        return "a quarter of the epochs"
    changed = (f"{'.'.join(path)} {value}" for path, value in changes((), control.changes))
    return ", ".join(changed)


def controls_frame(
    variants: Sequence[Variant],
    statuses: Iterable[CellStatus],
    chosen: Mapping[str, Chosen],
    *,
    redraws: bool,
) -> pd.DataFrame:
    """`controls.csv`: one row a complete control and seed; raw pixels, which have no seed, have one.

    Controls are read at the settings at which the study's cells are.

    A control that is an evaluation has its number a second time under the evaluation that it is the control
    of: training from scratch stands under the fine-tuned accuracy that it is set against.

    Args:
        variants: Of the study.
        statuses: Of its controls.
        chosen: Those settings, `StudyTrials.chosen`.
        redraws: Whether each seed draws images of its own: raw pixels then have a seed as well.
    """
    import pandas as pd

    controlled = _controlled(variants)
    done = [status for status in statuses if status.state == "COMPLETE"]
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(status.cell.variant for status in done):
        for status in (each for each in done if each.cell.variant == name):
            levels = status.cell.levels
            row: dict[str, Any] = {"control": levels[CONTROL], "variant": levels[OWNER]}
            row |= {"seed": status.cell.seed if has_seed(levels[CONTROL], redraws=redraws) else None}
            for metric, value in status.record.metrics.items():
                label, _, kind = metric.rpartition(".")
                row |= {metric: value}
                row |= {f"{controlled[label]}.{kind}": value} if label in controlled else {}
            row |= {"fingerprint": status.cell.fingerprint}
            row |= {"weights_sha256": status.record.weights_sha256}
            rows.append(row)
    first, last = ["control", "variant", "seed"], ["fingerprint", "weights_sha256"]
    frame = pd.DataFrame(rows, columns=None if rows else first + last)
    frame["seed"] = frame["seed"].astype("Int64")
    return settle(with_identity_last(frame), chosen)


def _controlled(variants: Sequence[Variant]) -> dict[str, str]:
    """By label of an evaluation that is a control: that of the one whose control it is, where asked for."""
    found: dict[str, str] = {}
    for variant in variants:
        labels = {choice.name: label for label, choice in variant.spec.evaluations.items()}
        for label, choice in variant.spec.control_evaluations.items():
            if choice.control_of in labels:
                found.setdefault(label, labels[choice.control_of])
    return found


def dataset_of(variants: Sequence[Variant]) -> str:
    """What the variants are trained on, in a word or two: `scenes`, `folder flowers`."""
    return ", ".join(dict.fromkeys(variant.spec["dataset"].title for variant in variants))


def setting_of(variants: Sequence[Variant]) -> str:
    """Backbone, epochs and batch in one line; of the first variant, the rest is in the study's own report."""
    spec = variants[0].spec
    backbone = ", ".join(f"{name} {value}" for name, value in spec["backbone"].options.items())
    epochs = list(dict.fromkeys(str(variant.spec.training.epochs) for variant in variants))
    noun = "epoch" if epochs == ["1"] else "epochs"
    return (
        f"backbone {spec['backbone'].name} ({backbone}); {', '.join(epochs)} {noun} at batch "
        f"{spec.training.batch_size}"
    )


def protocols(trials: StudyTrials) -> dict[str, str]:
    """The protocol of each evaluation, as the first complete cell tells it, by metric.

    Where the study chose among settings, the sentence ends with the chosen one.
    """
    record = next((status.record for status in trials.statuses if status.record.protocols), CellRecord())
    told = {
        label: f"{sentence} Chosen: {trials.chosen[label].words}." if label in trials.chosen else sentence
        for label, sentence in record.protocols.items()
    }
    labels = {metric: metric.split(".")[0] for metric in record.metrics if not is_candidate(metric)}
    return {metric: told[label] for metric, label in labels.items() if label in told}


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a CSV whole, or leave the one that is there.

    Raises:
        OSError: There is no room, or no way to write.
    """
    write_atomically(path, frame.to_csv(index=False).encode(), mode=0o666)
