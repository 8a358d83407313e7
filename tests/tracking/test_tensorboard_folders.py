"""Names of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmae_ablate.tracking.tensorboard_folders import cell_folder, run_name, study_folder

LABELS = [
    "depth 1",
    "mask 75% + linear",
    ".",
    "..",
    "a/b",
    "a%2Fb",
    "../../etc",
    "tab\there",
    "ε = 0.1",
    "%2E",
    "-",
]


def test_labels_are_folders_of_their_own_below_the_study(tmp_path: Path) -> None:
    study = study_folder(tmp_path, "decoder_size/controls")
    assert study == tmp_path / "decoder_size" / "controls"
    folders = [cell_folder(study, (label, 0, "0123456789abcdef")) for label in LABELS]
    assert len({each.parent for each in folders}) == len(LABELS)
    for each in folders:
        each.mkdir(parents=True)  # raises where two are one
        assert each.resolve().parent.parent == study.resolve()
    assert folders[0] == study / "depth 1" / "seed 0 01234567"


@pytest.mark.parametrize("label", ["depth 1", "CMAE + linear", "ratio=0.5, (a)"])
def test_usual_labels_are_shown_as_they_are(label: str) -> None:
    assert run_name(label) == label
