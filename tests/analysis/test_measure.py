from __future__ import annotations

import pandas as pd

from analysis.localisation.measure import updated


def rows(dataset: str, iou: float) -> pd.DataFrame:
    return pd.DataFrame({"dataset": [dataset], "iou": [iou]})


def test_a_data_set_measured_again_replaces_its_rows_and_leaves_the_others() -> None:
    before = pd.concat([rows("scenes", 0.3), rows("tiny_imagenet", 0.5)])
    after = updated(before, rows("scenes", 0.4))
    assert after.to_numpy().tolist() == [["scenes", 0.4], ["tiny_imagenet", 0.5]]


def test_the_first_measurement_needs_no_earlier_one() -> None:
    assert updated(pd.DataFrame(), rows("scenes", 0.4)).to_numpy().tolist() == [["scenes", 0.4]]
