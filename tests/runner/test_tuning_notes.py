"""What a report says of a search."""

from __future__ import annotations

import pytest

from cmae_ablate.runner.tuning_notes import edge_notes, tuning_note
from cmae_ablate.runner.winners import Winner
from cmae_ablate.study.search import Interval, Search

METRIC = "knn.validation_top1"
EDGES: list[tuple[Interval | tuple[object, ...], object, str]] = [
    (Interval(1.0, 11.0), 1.9, "lower end"),
    (Interval(1.0, 11.0), 2.1, ""),
    (Interval(1.0, 11.0), 10.5, "upper end"),
    (Interval(1e-4, 1e-1, log=True), 1.9e-4, "lower end"),
    (Interval(1e-4, 1e-1, log=True), 3e-3, ""),
    (Interval(1e-4, 1e-1, log=True), 6e-2, "upper end"),
    ((0.1, 0.2, 0.3), 0.3, "upper end"),
    ((0.1, 0.2, 0.3), 0.2, ""),
    (("full", "center_box"), "full", ""),
    ((True, False), True, ""),
]


@pytest.mark.parametrize(("values", "value", "edge"), EDGES)
def test_a_winner_at_the_edge_of_a_range_is_named(
    values: Interval | tuple[object, ...], value: object, edge: str
) -> None:
    search = Search(2, METRIC, {("training", "base_lr"): values})
    winner = Winner(0, {"training.base_lr": value}, 1.0)  # type: ignore[dict-item]
    notes = edge_notes(search, {"linear": [winner]})
    assert len(notes) == bool(edge)
    assert all(
        f"At the {edge} of training.base_lr: the winner of \u2018linear\u2019" in each for each in notes
    )


def test_a_winner_beyond_which_nothing_was_tried_is_named_inside_of_the_range_too() -> None:
    search = Search(4, METRIC, {("training", "base_lr"): Interval(1.0, 11.0)})
    tried = {"training.base_lr": (3.0, 6.0)}
    won = {
        label: [Winner(0, {"training.base_lr": rate}, 1.0, tried)]
        for label, rate in (("a", 6.0), ("b", 6.0), ("c", 4.0), ("d", 3.0))
    }
    beyond = "The best setting may lie beyond; more trials would tell."
    tried_of = "value tried of training.base_lr: the winner of"
    assert edge_notes(search, won) == [
        f"At the largest {tried_of} \u2018a\u2019, \u2018b\u2019. {beyond}",
        f"At the smallest {tried_of} \u2018d\u2019. {beyond}",
    ]


def test_of_tunings_of_each_seed_the_number_at_an_edge_is_told() -> None:
    search = Search(2, METRIC, {("training", "base_lr"): Interval(1.0, 11.0)}, repeat=True)
    rates = (1.5, 6.0, 1.1)
    won = {"linear": [Winner(0, {"training.base_lr": rate}, 1.0) for rate in rates]}
    (note,) = edge_notes(search, won)
    assert "At the lower end of training.base_lr: the winner of \u2018linear\u2019 (2 of 3 seeds)." in note


@pytest.mark.parametrize(("seeds", "words"), [(1, "each of one seed"), (3, "each the mean of 3 seeds")])
def test_it_is_said_how_many_seeds_a_trial_is_judged_by(seeds: int, words: str) -> None:
    space = {("training", "base_lr"): Interval(1.0, 11.0)}
    note = tuning_note(Search(4, METRIC, space, seeds=seeds))
    assert f"4 trials a variant {words} (from 1000 on), which no table uses" in note


def test_a_tuning_of_each_seed_claims_its_noise_and_one_for_all_does_not() -> None:
    space = {("training", "base_lr"): Interval(1.0, 11.0)}
    one, each = (tuning_note(Search(2, METRIC, space, repeat=repeat)) for repeat in (False, True))
    assert "hold given these tuned settings" in one and "include the tuning" not in one
    assert "intervals include the tuning" in each and "given these tuned settings" not in each
