"""A study that adds seeds goes on where a contrast is open, and nowhere else, whoever asks and when."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from cmae_ablate.report.seed_rule import Looks, SeedRule
from cmae_ablate.report.sequential import look_level
from cmae_ablate.report.settling import Settling, expected_seeds, settle

REFERENCE, CLEAR, CLOSE = "reference", "clear", "close"
VARIANTS = (REFERENCE, CLEAR, CLOSE)
FAMILY = ((CLEAR, REFERENCE), (CLOSE, REFERENCE))
RULE = SeedRule(Looks(3, 1, 8), smallest_effect=1.0)
WIDE = SeedRule(Looks(3, 2, 8), precision=0.05)


def draws(noise: float = 0.4) -> dict[tuple[str, int], float]:
    """`clear` is 6 points better, `close` is as good as the reference."""
    rng = np.random.default_rng(3)
    gains = {REFERENCE: 0.0, CLEAR: 6.0, CLOSE: 0.0}
    return {(v, s): 30 + gains[v] + float(rng.normal(0, noise)) for v in VARIANTS for s in range(8)}


def follow(rule: SeedRule, broken: frozenset[tuple[str, int]] = frozenset()) -> list[Settling]:
    """Train what is wanted until nothing more is."""
    known: dict[tuple[str, int], float] = {}
    truth, found = draws(), []
    while True:
        found.append(settle(rule, VARIANTS, FAMILY, known, broken))
        wanted = {(v, s) for v, n in found[-1].wanted.items() for s in range(n)} - broken
        if wanted <= set(known):
            return found
        known |= {cell: truth[cell] for cell in wanted}


def test_a_settled_contrast_gets_no_further_seed_and_the_others_go_on() -> None:
    found = follow(RULE)
    clear, close = found[-1].contrasts
    assert clear.settled == "different"
    assert found[-1].wanted == {REFERENCE: len(close.seeds), CLEAR: len(clear.seeds), CLOSE: len(close.seeds)}
    assert len(clear.seeds) < len(close.seeds)


def test_every_variant_gets_the_first_seeds_and_nothing_is_looked_at_before() -> None:
    first, *_ = follow(RULE)
    assert first.wanted == dict.fromkeys(VARIANTS, 3)
    assert [each.seeds for each in first.contrasts] == [(), ()]


def test_a_block_that_is_not_over_decides_nothing() -> None:
    truth = draws()
    block = {cell: value for cell, value in truth.items() if cell[1] < 3}
    ahead = {**block, (CLEAR, 3): truth[CLEAR, 3], (REFERENCE, 3): truth[REFERENCE, 3]}
    assert settle(RULE, VARIANTS, FAMILY, ahead) == settle(RULE, VARIANTS, FAMILY, block)


def test_the_decision_does_not_depend_on_the_order_in_which_cells_ended() -> None:
    truth = draws()
    known = {cell: truth[cell] for cell in truth if cell[1] < 5}
    shuffled = dict(sorted(known.items(), key=lambda item: -item[1]))
    assert settle(RULE, VARIANTS, FAMILY, known) == settle(RULE, VARIANTS, FAMILY, shuffled)


def test_the_most_seeds_end_it_where_nothing_is_settled() -> None:
    found = follow(WIDE)[-1]
    assert [each.settled for each in found.contrasts] == ["budget", "budget"]
    assert found.wanted == dict.fromkeys(VARIANTS, 8)
    assert found.is_over


def test_a_precision_alone_is_a_matter_of_width_and_a_clear_difference_goes_on() -> None:
    found = follow(SeedRule(Looks(3, 1, 8), precision=1.3, sharing="bonferroni"))[-1]
    for contrast in found.contrasts:
        assert contrast.settled == "narrow"
        before = len(contrast.seeds) - 1
        assert contrast.half_width <= 1.3
        quantile = stats.t.ppf(1 - look_level(Looks(3, 1, 8), before + 1, 0.025) / 2, before)
        assert contrast.half_width == pytest.approx(quantile * contrast.noise / math.sqrt(before + 1))


def test_a_width_is_that_of_the_share_that_the_pairs_of_its_look_leave() -> None:
    rule = SeedRule(Looks(3, 1, 8), precision=1.3)
    clear, close = follow(rule)[-1].contrasts
    # Clear goes on to the end, close is narrow enough before: what is known of both are close's seeds.
    assert (len(clear.seeds), len(close.seeds)) == (8, 5)
    for contrast in (clear, close):
        n = len(contrast.seeds)
        ours = [np.array([draws()[v, s] - draws()[REFERENCE, s] for s in range(5)]) for v in (CLEAR, CLOSE)]
        squared = np.corrcoef(*ours)[0, 1] ** 2 - 1 / 4
        rho = math.sqrt(max(squared, 0))
        # The level at which two normal variables that correlate so are both inside in 95 % of studies.
        both = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]])

        def missed(z: float, both: stats.rv_continuous = both) -> float:
            outer = both.cdf([z, z], lower_limit=[-z, -z])
            return 1 - float(outer) - 0.05

        level = 2 * stats.norm.sf(optimize.brentq(missed, 1.9, 2.3))
        quantile = stats.t.ppf(1 - look_level(Looks(3, 1, 8), n, level) / 2, n - 1)
        assert contrast.half_width == pytest.approx(quantile * contrast.noise / math.sqrt(n), rel=1e-4)


def test_a_settled_contrast_keeps_its_width_while_the_others_go_on() -> None:
    found = follow(RULE)
    first = next(each for each in found if each.contrasts[0].settled)
    assert not first.is_over
    assert found[-1].contrasts[0] == first.contrasts[0]


def test_what_an_interval_without_zero_shows_is_settled_as_different() -> None:
    rule, rng, shown = SeedRule(Looks(3, 2, 9), smallest_effect=0.01), np.random.default_rng(4), 0
    family = (("a", "r"), ("b", "r"), ("c", "b"))
    for _ in range(12):
        loud = rng.normal(0, 2, 9)
        known = {
            (v, s): float(rng.normal(gain, 0.7))
            for v, gain in zip("abc", (5.0, 0.0, 3.0), strict=True)
            for s in range(9)
        }
        known |= {("r", s): float(loud[s]) for s in range(9)}
        for each in settle(rule, ("r", "a", "b", "c"), family, known).contrasts:
            if abs(each.delta) > each.half_width:
                assert each.settled == "different"
                shown += 1
    assert shown > 5


def test_a_cell_that_failed_for_good_holds_nothing_up() -> None:
    broken = frozenset({(CLOSE, 1)})
    found = follow(RULE, broken)[-1]
    assert found.is_over
    assert 1 not in found.contrasts[1].seeds
    assert 1 in found.contrasts[0].seeds


def test_a_variant_of_which_every_cell_fails_ends_with_the_budget() -> None:
    broken = frozenset((CLOSE, seed) for seed in range(8))
    found = follow(RULE, broken)[-1]
    assert found.contrasts[1].settled == "budget"
    assert found.contrasts[1].seeds == ()


def test_the_same_number_in_every_seed_settles_nothing() -> None:
    known = {(variant, seed): 30.0 for variant in VARIANTS for seed in range(3)}
    found = settle(SeedRule(Looks(3, 1, 8), precision=1.0, smallest_effect=1.0), VARIANTS, FAMILY, known)
    assert [each.settled for each in found.contrasts] == [None, None]
    assert found.wanted == dict.fromkeys(VARIANTS, 4)


def test_a_planned_contrast_of_a_variant_that_is_gone_stays_in_the_family_and_asks_for_nothing() -> None:
    truth = draws()
    with_ghost = settle(WIDE, VARIANTS, (*FAMILY, ("gone", REFERENCE)), truth)
    assert with_ghost.contrasts[2].settled is None
    assert with_ghost.contrasts[0].half_width > settle(WIDE, VARIANTS, FAMILY, truth).contrasts[0].half_width


def test_a_smallest_effect_is_settled_at_the_latest_when_the_interval_is_half_as_wide() -> None:
    looks = Looks(3, 1, 20)
    by_width = expected_seeds(SeedRule(looks, precision=0.5), 0.5, 0.025)
    assert expected_seeds(SeedRule(looks, smallest_effect=1.0), 0.5, 0.025) == by_width


@pytest.mark.slow
def test_racing_leaves_the_error_of_the_other_contrasts_at_what_it_says() -> None:
    # 400 studies through `settle` itself: one contrast differs and stops early, two are null.
    family = (("a", "r"), ("b", "r"), ("c", "r"))
    gains = {"r": 0.0, "a": 4.0, "b": 0.0, "c": 0.0}
    rule, rng, wrong, covered = SeedRule(Looks(3, 2, 9), smallest_effect=0.2), np.random.default_rng(5), 0, 0
    for _ in range(400):
        known = {(v, s): float(rng.normal(gain, 1)) for v, gain in gains.items() for s in range(9)}
        found = settle(rule, tuple(gains), family, known).contrasts
        wrong += any(each.settled == "different" for each in found[1:])
        covered += all(abs(each.delta - gains[each.variant]) <= each.half_width for each in found)
    assert wrong / 400 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 400)
    assert covered / 400 >= 0.95 - 4 * math.sqrt(0.05 * 0.95 / 400)
