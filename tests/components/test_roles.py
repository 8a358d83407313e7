"""What options of a component mean to the rest of the package."""

from __future__ import annotations

import pytest

from cmae_ablate.components.loading import load_components
from cmae_ablate.components.protocols import CROPS
from cmae_ablate.components.roles import Roles
from cmae_ablate.errors import UserError


def test_every_role_names_its_options() -> None:
    single = {"epochs": "e", "warmup": "w", "normalization": "n", "place": "p", "draw": "d"}
    roles = Roles(files=("f", "g"), spans={"s": 0.5}, **single)  # type: ignore[arg-type]
    assert sorted(roles.role_options) == ["d", "e", "f", "g", "n", "p", "s", "w"]
    assert Roles().role_options == []


@pytest.mark.parametrize(
    "roles",
    [{"files": ("away",)}, {"warmup": "away"}, {"spans": {"away": 0.2}}],
    ids=str,
)
def test_a_role_of_an_option_that_is_not_there_is_refused(roles: dict[str, object]) -> None:
    with pytest.raises(UserError, match="registered with the option 'away'"):

        @CROPS.register("of no use", **roles)
        class OfNoUse:
            def __init__(self, num_images: int, true_boxes: object, *, interval: int = 1) -> None: ...

    assert "of no use" not in CROPS


def test_the_crops_with_a_schedule_of_epochs_have_a_share_for_every_part_of_it() -> None:
    load_components()
    counted = {
        crop.name: {name for name in ("warmup_epochs", "interval") if name in crop.options.model_fields}
        for crop in CROPS
    }
    assert counted["contrastive"] == {"warmup_epochs", "interval"}
    assert {crop.name: set(crop.spans) for crop in CROPS} == counted
