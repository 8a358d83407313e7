from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.study.file_model import complaint
from cmae_ablate.study.settings import SpecError
from cmae_ablate.study.trial_keys import check_values, type_at

load_components()


@pytest.mark.parametrize(
    ("slot", "value"),
    [
        ("decoder", "linear"),
        ("decoder", {}),
        ("decoder", {"depth": 1}),
        ("decoder", {"name": "linear", "reach": 2}),
        ("objectives.contrastive", None),
        ("objectives.contrastive", {"name": None}),
        ("objectives.contrastive", {"name": "none", "weight": 1}),
        ("crop", {"scale": [0.2, 1]}),
    ],
)
def test_a_name_an_option_or_both_change_a_component(slot: str, value: Any) -> None:
    check_values(type_at(tuple(slot.split("."))), {"here": value})


@pytest.mark.parametrize(
    ("slot", "value", "place", "words"),
    [
        ("decoder", "liner", (), "no decoder is called 'liner'; did you mean 'linear'?"),
        ("decoder", None, (), "no decoder is called 'none'; choose from"),
        ("decoder", {"name": "linear", "depth": 1}, ("depth",), "'linear' has no such option"),
        ("decoder", {"dept": 1}, ("dept",), "no decoder has such an option; did you mean 'depth'?"),
        ("decoder", 3, (), "a component is expected, such as {name: ...}, not 3"),
        ("decoder", {"name": "transformer", "depth": 0}, ("depth",), "0 does not fit"),
        ("objectives.contrastive", {"name": "simclr", "feature": "prediction"}, ("feature",), "'mean'"),
        ("evaluations.mine", {"name": "nn"}, ("name",), "no evaluation is called 'nn'"),
    ],
)
def test_what_is_no_component_is_said_where_it_stands(
    slot: str, value: Any, place: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        check_values(type_at(tuple(slot.split("."))), {"here": value})
    path, message = complaint(caught.value)
    assert path == ("here", *place)
    assert words in message


def test_a_component_that_registers_later_has_its_keys_at_once() -> None:
    class Late:
        """Hides nothing.

        Args:
            share: How much.
        """

        def __init__(self, grid: tuple[int, int], *, share: float = 0.5) -> None:
            self.share = share

    with pytest.raises(SpecError):
        type_at(("masking", "share"))
    SLOTS["masking"].register("late")(Late)
    try:
        check_values(type_at(("masking", "share")), {"a": 0.1})
        check_values(type_at(("masking",)), {"a": {"name": "late", "share": 1}})
        with pytest.raises(ValidationError):
            check_values(type_at(("masking",)), {"a": {"name": "late", "share": "1"}})
    finally:
        del SLOTS["masking"]._components["late"]
    with pytest.raises(SpecError):
        type_at(("masking", "share"))
