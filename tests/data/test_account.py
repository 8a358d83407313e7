from __future__ import annotations

import json

import pytest

from cmae_ablate.data.account import Account, account_of

LEFT_OUT = [("b.txt", "note(s)"), ("x.png", "broken image(s)"), ("a.txt", "note(s)")]


def test_found_is_used_and_left_out_together() -> None:
    account = account_of(7, LEFT_OUT, {"note(s)"})
    assert account.found == 10
    assert account.lines() == (
        "files: 10 found, 7 used, 3 left out",
        "  1 broken image(s), such as x.png",
        "  2 note(s), such as a.txt",
    )


def test_only_the_unexpected_is_told_beside_results() -> None:
    assert account_of(7, LEFT_OUT, {"note(s)"}).notice() == "left out 1 broken image(s), such as x.png"
    assert account_of(7, LEFT_OUT[:1], {"note(s)"}).notice() is None


def test_an_account_survives_a_file() -> None:
    account = account_of(7, LEFT_OUT, {"note(s)"})
    assert Account.from_json(json.loads(json.dumps(account.to_json()))) == account


ENTRY = {"reason": "note(s)", "count": 2, "example": "a.txt", "told": False}


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"used": "7", "left_out": []},
        {"used": -1, "left_out": []},
        {"used": True, "left_out": []},
        {"used": 7, "left_out": {}},
        {"used": 7, "left_out": [{"x": 1}]},
        {"used": 7, "left_out": [{**ENTRY, "count": [1]}]},
        {"used": 7, "left_out": [{**ENTRY, "reason": None}]},
        {"used": 7, "left_out": [{**ENTRY, "told": "no"}]},
    ],
)
def test_something_else_is_no_account(damaged: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        Account.from_json(damaged)
