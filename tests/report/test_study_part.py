"""What a page over several studies takes of one."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from cmae_ablate.report.study_part import analyse
from tests.report.conftest import METRIC
from tests.report.pooling import BY_DATA_SET, part


def test_a_part_has_every_note_of_its_own_report() -> None:
    whole = part("own", BY_DATA_SET["own"])
    raw = pd.DataFrame([{"control": "raw pixels", "variant": "", "seed": 0, METRIC: 60.0}])
    assert whole.controls is not None
    doubted = replace(whole, controls=pd.concat([whole.controls, raw]), notes=("a file was left out",))
    found = analyse("own", doubted)
    assert found.notes[0] == "a file was left out"
    assert any("raw pixels" in note for note in found.notes)
    assert not any("raw pixels" in note for note in found.cells.notes)


def test_what_a_data_set_says_against_itself_is_among_the_notes() -> None:
    found = analyse(
        "own", part("own", BY_DATA_SET["own"], caveat="These scenes are drawn, not photographed.")
    )
    assert found.notes[0] == "These scenes are drawn, not photographed."
