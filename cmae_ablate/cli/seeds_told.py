"""How far the contrasts of a study that adds seeds by a rule are, in lines and for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cmae_ablate.report.seed_rule import REASONS, SeedRule
from cmae_ablate.report.wording import PLUS_MINUS, counted, json_number, quoted

if TYPE_CHECKING:
    from cmae_ablate.report.settling import Settling, Standing


def told_of(settling: Settling, rule: SeedRule) -> Iterator[str]:
    """One line for the rule, and one for each contrast."""
    yield f"seeds by rule: {rule.words}"
    for each in settling.contrasts:
        yield f"{quoted(each.variant)} against {quoted(each.against)}: {_where(each, rule)}"


def _where(standing: Standing, rule: SeedRule) -> str:
    if not standing.seeds:
        ended = "; no pair is complete" if standing.settled else f" with {rule.looks.first} seeds"
        return f"{REASONS['budget']}{ended}" if standing.settled else f"looked at for the first time{ended}"
    seeds = counted(len(standing.seeds), "seed")
    width = f", {standing.delta:+.2f} {PLUS_MINUS}{standing.half_width:.2f}"
    text = f"{seeds}{'' if math.isnan(standing.half_width) else width}"
    if standing.settled is not None:
        return f"{text}; {REASONS[standing.settled]}"
    return f"{text}; {_expected(standing.expected, rule)}"


def _expected(seeds: float, rule: SeedRule) -> str:
    if math.isnan(seeds):
        return "no noise to judge by yet"
    if math.isinf(seeds):
        return f"with this noise {rule.looks.most} seeds are too few for the width, and it may stay open"
    return f"settled after {seeds:.0f} seeds at the latest, if the noise stays as it is"


def cells_expected(settling: Settling, rule: SeedRule) -> int:
    """Cells that the table will have if the noise seen so far stays; all of a contrast without any yet."""
    wanted = dict(settling.wanted)
    for each in settling.contrasts:
        if each.settled is None:
            seeds = each.expected if math.isfinite(each.expected) else rule.looks.most
            for variant in each.pair:
                wanted[variant] = max(wanted.get(variant, 0), round(seeds))
    return sum(wanted.values())


def record_of(settling: Settling, rule: SeedRule) -> dict[str, Any]:
    """The same for programs."""
    return {
        "rule": rule.to_json(),
        "is_over": settling.is_over,
        "contrasts": [
            {
                "variant": each.variant,
                "against": each.against,
                "n": len(each.seeds),
                "settled": each.settled,
                "delta": json_number(each.delta),
                "half_width": json_number(each.half_width),
                "expected_seeds": json_number(each.expected),
            }
            for each in settling.contrasts
        ],
    }
