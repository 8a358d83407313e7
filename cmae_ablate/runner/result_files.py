"""What a finished pretraining's folder records, as values: `result.json`, and one file an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from cmae_ablate.files import is_numbers
from cmae_ablate.report.selection import candidate_metrics, key_of

Kinds: TypeAlias = Mapping[str, type | tuple[type, ...]]
TEXT_OR_NONE = (str, type(None))


@dataclass(frozen=True)
class PretrainingRecord:
    """`result.json`: one pretraining, which cells of several studies may share.

    Attributes:
        metrics: `pretrain.*`, `params.*`, `flops.*`, `seconds.*`, `memory.*`, as in a cell's record.
        weights_sha256: Of parameters and buffers.
        history: Metrics by epoch.
        spec: The resolved trial as a tree.
        seed: The trial's.
        device: What it ran on.
        image_size: Side of the encoder's input in pixels; 0 where an earlier version did not say.
        files: SHA-256 of the files beside the weights, by name.
        warning: A sentence about its encoder, such as that its features have collapsed; None without any.
        data: Digest of the images; empty where an earlier version did not say.
        versions: Of the components, as `TrialSpec.versions` has them; empty likewise.
    """

    metrics: Mapping[str, float]
    weights_sha256: str
    history: Sequence[Mapping[str, float]]
    spec: Mapping[str, Any]
    seed: int
    device: str = ""
    image_size: int = 0
    files: Mapping[str, str] = field(default_factory=dict)
    warning: str | None = None
    data: str = ""
    versions: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PretrainingRecord:
        """What `to_json` made, of this version or an earlier one.

        Raises:
            ValueError: A key is missing or of another kind; which, as the end of a sentence.
        """
        needed: Kinds = {"metrics": dict, "weights_sha256": str, "history": list, "spec": dict, "seed": int}
        known: Kinds = {
            "device": str,
            "image_size": int,
            "files": dict,
            "warning": TEXT_OR_NONE,
            "data": str,
            "versions": dict,
        }
        found = cls(**_of_kinds(content, needed, known))
        if not is_numbers(found.metrics) or not all(is_numbers(each) for each in found.history):
            raise ValueError("a metric is no number")
        return found

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True)
class CandidateRecord:
    """One setting that an evaluation may be read at: its options, its numbers, and which file predicts."""

    settings: Mapping[str, float]
    metrics: Mapping[str, float]
    predictions: str | None = None
    predictions_sha256: str | None = None


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation of one encoder.

    Attributes:
        label: What the study calls it.
        metrics: By name, at the encoder's own best setting.
        protocol: One sentence.
        chosen: What was chosen on validation data.
        weights_sha256: Of what was evaluated; empty for what has none; None where nobody wrote it down.
        predictions: The file beside this one that has the predicted class of each test image.
        predictions_sha256: Of that file.
        candidates: Every setting of a grid, the strongest regularisation first.
    """

    label: str
    metrics: Mapping[str, float]
    protocol: str
    chosen: Mapping[str, float]
    weights_sha256: str | None = None
    predictions: str | None = None
    predictions_sha256: str | None = None
    candidates: Sequence[CandidateRecord] = ()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> EvaluationRecord:
        """What `to_json` made, of this version or an earlier one. Raises as `PretrainingRecord.from_json`."""
        needed = {"metrics": dict, "protocol": str, "chosen": dict}
        texts = dict.fromkeys(("weights_sha256", "predictions", "predictions_sha256"), TEXT_OR_NONE)
        values = _of_kinds(content, needed, {"label": str, "candidates": list, **texts})
        candidates = tuple(_candidate(each) for each in values.pop("candidates", ()))
        found = cls(**{"label": "", **values}, candidates=candidates)
        if not all(map(is_numbers, [found.metrics, *(each.metrics for each in candidates)])):
            raise ValueError("a metric is no number")
        return found

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def at(self, key: str) -> CandidateRecord | None:
        """The candidate whose settings `selection` spells so; None where it is not among them."""
        return next((each for each in self.candidates if key_of(each.settings) == key), None)


def flat(found: Mapping[str, EvaluationRecord]) -> dict[str, float]:
    """The metrics of several evaluations as `<evaluation>.<name>`, and those of their candidates."""
    own = {f"{label}.{name}": value for label, r in found.items() for name, value in r.metrics.items()}
    for label, record in found.items():
        own |= candidate_metrics(label, ((each.settings, each.metrics) for each in record.candidates))
    return own


def _candidate(content: object) -> CandidateRecord:
    if not isinstance(content, dict):
        raise ValueError("one of its candidates is no mapping")
    texts = dict.fromkeys(("predictions", "predictions_sha256"), TEXT_OR_NONE)
    found = CandidateRecord(**_of_kinds(content, {"settings": dict, "metrics": dict}, texts))
    if not is_numbers(found.settings):
        raise ValueError("a setting is no number")
    return found


def _of_kinds(content: Mapping[str, Any], needed: Kinds, known: Kinds) -> dict[str, Any]:
    """The values of these keys, of which `needed` must be there; others, of a later version, are left out."""
    for key, kind in {**needed, **known}.items():
        if (key in needed or key in content) and not isinstance(content.get(key), kind):
            raise ValueError(f"its {key} is missing or of another kind")
    return {key: content[key] for key in (*needed, *known) if key in content}
