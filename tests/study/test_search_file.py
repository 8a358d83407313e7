from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cmae_ablate.study.file_model import complaint
from cmae_ablate.study.search_file import SearchFile

RATE = "training.base_lr"


@pytest.mark.parametrize(
    "tried", [[0.1], [0.1, 1], {"low": 0.1, "high": 1}, {"low": 1, "high": 2, "log": True}]
)
def test_what_is_tried_stays_as_it_is_written(tried: Any) -> None:
    # Whole numbers stay whole: an interval of them has other points than one of real numbers.
    found = SearchFile.model_validate({"space": {RATE: tried}}).space[RATE]
    assert repr(found) == repr(tried)


@pytest.mark.parametrize(
    ("tried", "place", "words"),
    [
        ([], (), "a list of choices, or {low: ..., high: ..., log: true|false}, is expected"),
        (0.1, (), "a list of choices"),
        ([0.1, -1], ("1",), "-1 does not fit"),
        ([1, 1.0], (), "a choice stands there twice; remove one"),
        ({"low": 0.1}, ("high",), "this key is missing"),
        ({"low": 0.1, "high": 1, "lag": True}, ("lag",), "did you mean"),
        ({"low": -1, "high": 1}, ("low",), "-1 does not fit"),
        ({"low": 1, "high": 1}, (), "low must be a number below high"),
        ({"low": True, "high": 2}, ("low",), "valid number"),
    ],
)
def test_what_cannot_be_tried_is_said_where_it_stands(tried: Any, place: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SearchFile.model_validate({"space": {RATE: tried}})
    path, message = complaint(caught.value)
    assert path == ("space", RATE, *place)
    assert words in message
