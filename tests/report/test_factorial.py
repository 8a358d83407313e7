"""Main effects and interactions against statsmodels on hand-named columns."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from cmae_ablate.report.cells import sort_out
from cmae_ablate.report.factorial import Factorial, analyse
from cmae_ablate.report.findings import find
from cmae_ablate.report.frame import ReportExtras, StudyDescription

FACTORS = {"the crop's name": ("random_resized", "contrastive"), "C(seed)": ("none", "moco_v3", "simclr")}


def grid(build: Callable, seeds: int = 4) -> tuple[StudyDescription, pd.DataFrame]:
    """Factor names that no formula could hold as they are."""
    rng = np.random.default_rng(8)
    levels = {" + ".join(c): dict(zip(FACTORS, c, strict=True)) for c in itertools.product(*FACTORS.values())}
    values = {label: list(34 + rng.normal(0, 1, seeds)) for label in levels}
    return build(values, factors=FACTORS, levels=levels)


def expected_anova(study: StudyDescription, trials: pd.DataFrame) -> pd.DataFrame:
    data = pd.DataFrame(
        {
            "y": trials["linear_probe.top1"],
            "s": trials["seed"].astype(str),
            "a": [study.levels[v]["the crop's name"] for v in trials["variant"]],
            "b": [study.levels[v]["C(seed)"] for v in trials["variant"]],
        }
    )
    return anova_lm(ols("y ~ s + a + b + a:b", data).fit(), typ=2)


@pytest.mark.parametrize("dropped", [[], [5], [0, 7]])
def test_the_analysis_is_statsmodels_type_two_over_complete_seeds(
    dropped: list[int], build: Callable
) -> None:
    study, trials = grid(build, seeds=5)
    trials = trials.drop(index=dropped)
    result = analyse(sort_out(trials, study))
    assert result is not None
    ours = result.anova.set_index("term")
    counts = trials.groupby("seed")["variant"].count()
    whole = trials[trials["seed"].isin(counts.index[counts == len(study.variants)])]
    assert len(whole) == 30 - 6 * len(dropped)
    expected = expected_anova(study, whole)
    names = {
        "seed": "s",
        "the crop's name": "a",
        "C(seed)": "b",
        "the crop's name \u00d7 C(seed)": "a:b",
        "residual": "Residual",
    }
    for ours_name, theirs in names.items():
        assert ours.loc[ours_name, "sum_sq"] == pytest.approx(expected.loc[theirs, "sum_sq"], rel=1e-9)
        assert ours.loc[ours_name, "df"] == expected.loc[theirs, "df"]
        assert ours.loc[ours_name, "p"] == pytest.approx(
            expected.loc[theirs, "PR(>F)"], rel=1e-9, nan_ok=True
        )


def test_an_incomplete_seed_is_left_out_of_everything_aloud(build: Callable) -> None:
    study, trials = grid(build, seeds=5)
    holed = trials.drop(index=[0, 7])  # of seeds 0 and 2
    result, whole = (analyse(sort_out(rows, study)) for rows in (holed, trials[~trials["seed"].isin([0, 2])]))
    assert result is not None
    assert whole is not None
    assert {term.n for term in result.terms} == {3}
    pd.testing.assert_frame_equal(result.table, whole.table)
    assert sorted(result.cells["seed"].unique()) == [1, 3, 4]
    assert result.notes == (
        "not every combination is complete under seeds 0, 2, which are left out of main effects and "
        "interactions",
    )
    assert whole.notes == ()


@pytest.mark.parametrize("seed", range(8))
def test_a_terms_interval_and_its_p_agree(seed: int, build: Callable) -> None:
    rng = np.random.default_rng(seed)
    factors = {"a": ("off", "on"), "b": ("off", "on")}
    levels = {" + ".join(c): dict(zip(factors, c, strict=True)) for c in itertools.product(*factors.values())}
    study, trials = build({v: list(34 + rng.normal(0, 1, 5)) for v in levels}, factors=factors, levels=levels)
    result = analyse(sort_out(trials.drop(index=list(rng.choice(20, 2, replace=False))), study))
    assert result is not None
    assert len(result.anova)
    for term in result.family:
        assert (term.ci_low <= 0 <= term.ci_high) == (term.p >= 0.05)
        assert term.estimate == pytest.approx(term.paired.delta)


def test_a_factor_may_be_called_as_a_row_of_the_analysis(build: Callable) -> None:
    rng = np.random.default_rng(7)
    noise = {(*c, s): rng.normal(0, 1) for c in itertools.product(("off", "on"), repeat=2) for s in range(3)}
    named, plain = (
        crossed(build, dict.fromkeys(names, ("off", "on")), lambda own, s: 30 + noise[(*own.values(), s)], 3)
        for names in (("residual", "b"), ("a", "b"))
    )
    for one, other in zip(named.family, plain.family, strict=True):
        assert (one.ci_low, one.ci_high) == (other.ci_low, other.ci_high)


def test_a_fixed_interaction_of_three_factors_is_no_noise(build: Callable) -> None:
    rng = np.random.default_rng(6)
    noise = {key: rng.normal(0, 0.3) for key in itertools.product("01", "01", "01", range(3))}

    def value(own: dict[str, str], seed: int, three_way: float) -> float:
        on = [level == "on" for level in own.values()]
        return 30 + seed + on[0] + three_way * (-1) ** sum(on) + noise[(*("01"[o] for o in on), seed)]

    without, with_it = (
        crossed(build, CUBE, lambda own, seed, of=of: value(own, seed, of), 3) for of in (0.0, 5.0)
    )
    for one, other in zip(without.family, with_it.family, strict=True):
        assert (one.ci_low, one.ci_high) == pytest.approx((other.ci_low, other.ci_high))
        assert one.p == pytest.approx(other.p)
    assert with_it.table.set_index("term").loc["residual", "df"] == (3 - 1) * (8 - 1)


def test_terms_within_the_margin_are_equal_by_two_one_sided_tests(build: Callable) -> None:
    errors = itertools.cycle([0.2, -0.1, 0.3, -0.4, 0.1, -0.2, 0.0, 0.25, -0.15])
    factors = {"a": ("off", "on"), "b": ("off", "on")}
    levels = {" + ".join(c): dict(zip(factors, c, strict=True)) for c in itertools.product(*factors.values())}
    values = {
        v: [30 + s + 3 * (own["a"] == "on") + next(errors) for s in range(4)] for v, own in levels.items()
    }
    study, trials = build(values, factors=factors, levels=levels, report=(), equivalence_margin=1.0)
    found = find(study, trials, None, ReportExtras())
    a, b, both = found.factorial.family
    assert a.p_equal > 0.9
    # By scipy: the contrast of b, tested against both margins with the residual's error and freedom.
    residual = found.factorial.table.set_index("term").loc["residual"]
    error = (residual["sum_sq"] / residual["df"] / 4) ** 0.5
    sides = [
        stats.t.sf((b.estimate + 1) / error, residual["df"]),
        stats.t.cdf((b.estimate - 1) / error, residual["df"]),
    ]
    # Holm over three: of a, b and their interaction, b's is the smallest.
    assert b.p_equal == pytest.approx(3 * max(sides))
    assert b.p_equal < both.p_equal < a.p_equal
    verdicts = {each.variant: str(each.verdict) for each in found.answer.judged if each.family == "declared"}
    assert verdicts["a"] == "higher"
    assert verdicts["b"] == "equal"
    assert "b (on \u2212 off) and a \u00d7 b are equal within \u00b11.00 points" in found.answer.headline


def test_a_combination_without_cells_stops_the_analysis_aloud(build: Callable) -> None:
    study, trials = grid(build)
    result = analyse(sort_out(trials[trials["variant"] != study.variants[2]], study))
    assert result is not None
    assert result.anova.empty
    assert result.notes == ("no analysis of variance: no seed has every combination complete",)
    assert {term.n for term in result.terms} == {0}


def test_one_seed_leaves_nothing_to_estimate_the_noise_from(build: Callable) -> None:
    result = analyse(sort_out(*reversed(grid(build, seeds=1))))
    assert result is not None
    assert "add seeds" in result.notes[0]


def test_a_one_factor_study_has_no_factorial_analysis(build: Callable, noisy: Callable) -> None:
    study, trials = build(noisy(3, 3))
    assert analyse(sort_out(trials, study)) is None


CUBE = {"a": ("off", "on"), "b": ("off", "on"), "c": ("off", "on")}


def crossed(
    build: Callable,
    factors: dict[str, tuple[str, ...]],
    value: Callable[[dict[str, str], int], float],
    seeds: int,
) -> Factorial:
    """A grid whose cell values are given by level and seed."""
    levels = {" + ".join(c): dict(zip(factors, c, strict=True)) for c in itertools.product(*factors.values())}
    values = {label: [value(own, seed) for seed in range(seeds)] for label, own in levels.items()}
    found = analyse(sort_out(*reversed(build(values, factors=factors, levels=levels, report=()))))
    assert found is not None
    return found


def test_estimates_and_intervals_are_the_textbooks_for_two_by_two(build: Callable) -> None:
    # By hand. Cells (seed 0, 1, 2); effects of seeds, a (+2), b (+1), none of a x b, and these errors:
    errors = {("off", "off"): (0.1, -0.2, 0.1), ("off", "on"): (-0.3, 0.1, 0.2)}
    errors |= {("on", "off"): (0.2, 0.2, -0.4), ("on", "on"): (0.0, -0.1, 0.1)}
    found = crossed(
        build,
        {"a": ("off", "on"), "b": ("off", "on")},
        lambda own, seed: (
            30 + seed + 2 * (own["a"] == "on") + (own["b"] == "on") + errors[own["a"], own["b"]][seed]
        ),
        3,
    )
    a, b, both = found.family
    # All row sums of the errors are zero, so that the estimates are the effects themselves.
    assert [round(t.estimate, 12) for t in (a, b, both)] == [2.0, 1.0, 0.0]
    # Residual: errors less their seed means (all 0), squared and summed over (3 - 1) x (4 - 1) = 6 df.
    squares = sum(e * e for row in errors.values() for e in row)
    error = (squares / 6) ** 0.5 * (4 / 12) ** 0.5  # of a difference of two means of 6 cells
    assert a.ci_high - a.estimate == pytest.approx(2.446912 * error, rel=1e-6)  # t(0.975, 6)
    assert both.ci_high - both.estimate == pytest.approx(2 * 2.446912 * error, rel=1e-6)
    # Each seed's own contrast of a: (0.2 + 0.0 - 0.1 + 0.3) / 2 and so on: 0.2, 0.1, -0.3 around 2.
    assert a.paired.noise == pytest.approx(((0.2**2 + 0.1**2 + 0.3**2) / 2) ** 0.5)


def test_holm_covers_main_effects_and_interactions_and_nothing_else(build: Callable) -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 1, (8, 4))
    order = itertools.count()
    rows: dict[str, int] = {}

    def value(own: dict[str, str], seed: int) -> float:
        row = rows.setdefault("".join(own.values()), next(order) if seed == 0 else 0)
        return 34 + seed + noise[row, seed]

    table = crossed(build, CUBE, value, 4).table.set_index("term")
    terms = [term for term in table.index if term not in ("seed", "residual")]
    assert len(terms) == 6
    p = table.loc[terms, "p"].sort_values()
    running, expected = 0.0, {}
    for rank, (term, own) in enumerate(p.items()):  # Holm 1979, step down
        running = max(running, min(1.0, (6 - rank) * own))
        expected[term] = running
    for term in terms:
        assert table.loc[term, "p_holm"] == pytest.approx(expected[term], rel=1e-9)
    assert table.loc[["seed", "residual"], "p_holm"].isna().all()


def test_a_main_effect_that_f_finds_reaches_the_answer(build: Callable) -> None:
    # Three seeds, 2 x 2 x 2, a true effect of 1 at noise 0.5: power .99 of F, .18 of the old answer.
    rng = np.random.default_rng(4)
    found = 0
    for _ in range(20):
        noise = iter(rng.normal(0, 0.5, 24))
        levels = {" + ".join(c): dict(zip(CUBE, c, strict=True)) for c in itertools.product(*CUBE.values())}
        base = rng.normal(34, 2, 3)
        values = {v: [b + (own["a"] == "on") + next(noise) for b in base] for v, own in levels.items()}
        study, trials = build(values, factors=CUBE, levels=levels, report=())
        answer = find(study, trials, None, ReportExtras()).answer
        found += "a: \u2018on\u2019 is higher than \u2018off\u2019" in answer.headline
    assert found >= 15  # of 20, at a power of .93


def test_null_grids_show_a_term_in_no_more_than_five_percent(build: Callable) -> None:
    rng = np.random.default_rng(5)
    studies, wrong = 40, 0
    for _ in range(studies):
        noise = iter(rng.normal(0, 1, 24))
        result = crossed(build, CUBE, lambda own, seed, noise=noise: 34 + seed + next(noise), 3)
        wrong += any(term.p_holm < 0.05 for term in result.family)
    assert wrong <= 7  # more than that has a chance of 1 in 1,000 at 5 %; uncorrected terms show in 24 %


def test_levels_of_a_factor_with_several_are_compared_with_the_references(build: Callable) -> None:
    factors = {"size": ("s", "m", "l"), "crop": ("plain", "box")}
    gain = {"s": 0.0, "m": 0.0, "l": 3.0}
    rng = np.random.default_rng(3)
    found = crossed(build, factors, lambda own, seed: 30 + seed + gain[own["size"]] + rng.normal(0, 0.2), 4)
    by_name = {term.name: term for term in found.terms}
    assert by_name["size: l"].estimate == pytest.approx(3.0, abs=0.4)
    assert by_name["size: l"].p_holm >= by_name["size"].p_holm
    assert by_name["size: m"].p_holm > 0.05
    assert np.isnan(by_name["size"].estimate)
    assert {t.name for t in found.family} == {"size", "crop", "size \u00d7 crop"}


def test_a_single_seed_of_three_factors_gives_estimates_alone(build: Callable) -> None:
    factors = {name: ("off", "on") for name in "abc"}
    levels = {" + ".join(c): dict(zip(factors, c, strict=True)) for c in itertools.product(*factors.values())}
    values = {label: [30.0 + 5 * label.startswith("on") + 0.1 * i % 0.3] for i, label in enumerate(levels)}
    result = analyse(sort_out(*build(values, factors=factors, levels=levels)[::-1]))
    assert result is not None
    assert result.anova.empty
    assert all(np.isnan([t.p, t.p_holm, t.ci_low, t.ci_high]).all() for t in result.terms)
    assert result.terms[0].estimate == pytest.approx(5, abs=0.3)
    assert "add seeds" in result.notes[0]
