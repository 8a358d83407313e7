from __future__ import annotations

import re

import pytest

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.study.settings import SpecError
from cmae_ablate.study.trial_keys import ANY, pattern_of, trial_paths, type_at
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
