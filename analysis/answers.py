"""Every declared comparison of the analyses beside this file, in one page.

Run:   python -m analysis.answers            (after any `answer.json` below `analysis/` changed)
Writes `answers.md` from each folder's `answer.json` and `control_effects.csv`; a test holds it equal to what
this writes, and every folder with an answer to be listed here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cmae_ablate.report.wording import BLANK, Metric, capitalised, number, p_phrase, p_value

HERE = Path(__file__).parent
PAGE = HERE / "answers.md"
HEADER = "| comparison | n | difference [95 % CI] | p (Holm) | verdict | resolution |"
RULE = "| :-- | --: | --: | --: | :-- | --: |"
SETTINGS: Mapping[str, Sequence[str]] = {
    "Photographs: Tiny-ImageNet on one GPU, 60 epochs (`gpu`)": (
        "components-gpu",
        "components-fine_tuned",
        "cmae_vs_mae-gpu",
        "cmae_vs_mae-fine_tuned",
    ),
    "Photographs: Tiny-ImageNet on two cores (`tiny`)": ("cmae_vs_mae-tiny", "decoder_size-tiny"),
    "Semi-synthetic images: `scenes` on two cores (`hour`)": (
        "cmae_vs_mae-hour",
        "cmae_vs_mae-hour_seven",
        "cmae_presets-hour",
        "learning_rate-hour",
        "fine_tuning-hour",
        "fine_tuning-hour_five",
        "components-hour",
        "mae_to_cmae",
        "crop-hour",
        "position-hour",
        "position-hour_seven",
        "contrastive-hour",
        "decoder_size-hour",
        "decoder_size-hour_seven",
        "null",
    ),
    "A coffee break: `scenes` on two cores (`cpu`), and several data sets": (
        "decoder_size",
        "small_decoder",
        "objectives",
        "linear_decoder_blocks",
    ),
}
"""Folders below `analysis/` by where they were run, those that say most of the paper's claims first."""
REMARKS: Mapping[str, str] = {
    "cmae_vs_mae-fine_tuned": "Asked after the cells were known to be complete: exploratory.",
    "cmae_vs_mae-hour_seven": "The study above with two seeds that were added afterwards.",
    "fine_tuning-hour_five": "The study above with two seeds that were added afterwards.",
    "position-hour_seven": "The study above with two seeds that were added afterwards.",
    "decoder_size-hour_seven": "The study above with two seeds that were added afterwards.",
    "null": "One variant twice, under two names and with other seeds: nothing may be detected.",
}
"""What a reader has to know of a study that its table does not show."""
INTRODUCTION = """# Answers at a glance

Every declared comparison of every analysis here, as its report states it, written by
`python -m analysis.answers`. *Resolution* is half the 95 % interval over what pretraining brings the
reference over its untrained encoder: about the smallest share of that gain that the study could tell.
`inconclusive` is not 'equal'. What each shows and cannot, with its command, stands in
[README.md](README.md)."""
NAMED = {"positive control": "its positive control", "random init": "its untrained encoder"}
SETTLED = ("higher", "lower", "equal", "identical")


def page(root: Path = HERE) -> str:
    """The page, as Markdown.

    Args:
        root: Holds the folders of `SETTINGS`.
    """
    sections = []
    for setting, folders in SETTINGS.items():
        sections += [f"## {setting}", *("\n".join(study(root / folder)) for folder in folders)]
    return "\n\n".join([INTRODUCTION, *sections]) + "\n"


def study(folder: Path) -> Iterator[str]:
    """One study's lines: its question, whether it could have seen, and a row a declared comparison."""
    answer = json.loads((folder / "answer.json").read_text())
    metric = Metric.named(answer["metric"])
    yield f"### [`{folder.name}`]({folder.name}/): {answer['question']}"
    yield ""
    yield " ".join(
        filter(None, (f"{capitalised(metric.label)}.", _could_see(folder, metric), REMARKS.get(folder.name)))
    )
    yield ""
    yield from (HEADER, RULE)
    for verdict in answer["verdicts"]:
        if verdict["family"] == "declared":
            yield f"| {' | '.join(_cells(verdict, metric))} |"


def _could_see(folder: Path, metric: Metric) -> str:
    effects = folder / "control_effects.csv"
    if not effects.is_file():
        return "Pooled over several data sets; its controls are those of each."
    controls = pd.read_csv(effects).set_index("control")
    said = [
        f"{number(row['delta'], metric.decimals)} points above {NAMED[control]} (p {p_phrase(row['p_holm'])})"
        for control, row in controls.iterrows()
        if control in NAMED
    ]
    return f"The reference reads {' and '.join(said)}."


def _cells(verdict: Mapping[str, Any], metric: Metric) -> Iterator[str]:
    yield _compared(verdict["variant"].split(" + "), verdict["against"].split(" + "))
    yield str(verdict["n"])
    yield f"{metric.signed(verdict['delta'])} {metric.interval(verdict['ci_low'], verdict['ci_high'])}"
    yield p_value(verdict["p_holm"])
    yield f"**{verdict['verdict']}**" if verdict["verdict"] in SETTLED else verdict["verdict"]
    resolution = verdict.get("resolution")
    yield BLANK if resolution is None else number(resolution, 2)


def _compared(own: Sequence[str], other: Sequence[str]) -> str:
    """What differs between two variants, and what they share where a variant has several parts."""
    if len(own) != len(other):
        return f"{' + '.join(own)} against {' + '.join(other)}"
    differ = [(a, b) for a, b in zip(own, other, strict=True) if a != b]
    shared = [a for a, b in zip(own, other, strict=True) if a == b]
    said = f"{' + '.join(a for a, _ in differ)} against {' + '.join(b for _, b in differ)}"
    return f"{said}, with {', '.join(shared)}" if shared else said


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE}")
