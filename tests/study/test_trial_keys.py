from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.study.settings import SpecError
from cmae_ablate.study.trial_keys import ANY, check_values, pattern_of, trial_paths, type_at
from cmae_ablate.study.trial_spec import Training

load_components()


def test_every_option_of_every_component_is_a_key_of_a_trial() -> None:
    found = {".".join(path) for path in trial_paths()}
    options = {
        f"{f'evaluations.{ANY}' if slot == 'evaluations' else slot}.{option}"
        for slot, registry in SLOTS.items()
        for component in registry
        for option in component.options.model_fields
    }
    assert len(options) > 80
    assert options <= found
    assert {f"training.{name}" for name in Training.model_fields} <= found


@pytest.mark.parametrize("path", ["decodr", "decoder.dept", "training.epoch", "objectives.colour", ""])
def test_a_path_that_leads_nowhere_has_no_type(path: str) -> None:
    with pytest.raises(SpecError, match=r"did you mean|choose from"):
        type_at(tuple(path.split(".")))


def test_a_pattern_fits_any_label_and_no_more() -> None:
    pattern = pattern_of(f"evaluations.{ANY}.k")
    assert re.match(pattern, "evaluations.mine.k")
    for other in ("evaluations.a.b.k", "evaluations..k", "evaluations.mine.kk", "evaluationsxmine.k"):
        assert not re.match(pattern, other)


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
