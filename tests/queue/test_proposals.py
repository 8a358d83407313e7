"""What tuning trials try: claimed, remembered, judged and ended through the one queue."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random

import optuna
from optuna.pruners import MedianPruner
from optuna.trial import TrialState, create_trial

from cmae_ablate.queue import PlannedCell, Proposals, Queue
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.study.search import Interval, Search
from tests.queue.harness import on_both

RATE = Interval(1e-4, 1e-1, log=True)
SEARCH = Search(20, "knn.validation_top1", {("training", "base_lr"): RATE, ("crop",): ("full", "center_box")})
FINITE = Search(6, "knn.validation_top1", {("decoder", "depth"): Interval(1, 3), ("crop",): (None, [1, 2])})


def tuning(trials: int, variants: int = 1) -> list[PlannedCell]:
    return [
        PlannedCell(
            id=f"depth {depth}, trial {number}",
            variant=f"depth {depth}, trial {number}",
            seed=1000,
            levels={"decoder": f"depth {depth}"},
            fingerprint=f"fp-{depth}",
        )
        for number in range(trials)
        for depth in range(variants)
    ]


def quality(settings: dict[str, object]) -> float:
    return -abs(float(str(settings["training.base_lr"])) - 1e-3)


def run_all(queue: Queue) -> list[dict[str, object]]:
    tried = []
    while claim := queue.claim("worker"):
        tried.append(dict(claim.proposal.settings))
        queue.finish(claim, quality(tried[-1]) if "training.base_lr" in tried[-1] else 0.0, CellRecord())
    return tried


@on_both
def test_settings_are_claimed_with_the_cell_and_kept(open_queue: Callable[..., Queue]) -> None:
    queue = open_queue(tuning(2), proposals=Proposals(SEARCH))
    first = queue.claim("worker")
    assert first is not None
    assert 1e-4 <= float(str(first.proposal.settings["training.base_lr"])) <= 1e-1
    assert first.proposal.settings["crop"] in ("full", "center_box")
    queue.finish(first, 1.0, CellRecord())
    done, waiting = queue.status()
    assert (dict(done.settings), done.state) == (dict(first.proposal.settings), "COMPLETE")
    assert (dict(waiting.settings), waiting.state) == ({}, "WAITING")


def test_an_attempt_after_another_tries_the_same_and_knows_what_was_found(
    open_queue: Callable[..., Queue],
) -> None:
    queue = open_queue(tuning(1), proposals=Proposals(SEARCH))
    first = queue.claim("worker")
    assert first is not None
    queue.report(first, 1, 40.0)
    queue.release(first)
    again = queue.claim("another")
    assert again is not None
    assert again.trial != first.trial
    assert again.proposal.settings == first.proposal.settings
    assert dict(again.proposal.reported) == {1: 40.0}


def test_all_variants_and_seeds_try_the_same_settings_whoever_claims_when(
    open_queue: Callable[..., Queue],
) -> None:
    cells = tuning(6, variants=2)
    cells += [replace(cell, id=f"{cell.id} again", seed=1001, fingerprint="fp-1001") for cell in cells]
    queue = open_queue(cells, proposals=Proposals(SEARCH))
    tried: dict[str, set[str]] = {}
    while claim := queue.claim("worker"):
        number = claim.cell.variant.rpartition(" ")[2]
        tried.setdefault(number, set()).add(str(dict(claim.proposal.settings)))
        queue.finish(claim, 0.0, CellRecord())
    assert {number: len(settings) for number, settings in tried.items()} == {str(n): 1 for n in range(6)}
    assert len(set.union(*tried.values())) == 6
    backwards = Proposals(SEARCH)
    for number in reversed(range(6)):
        assert str(backwards.point(number)) in tried[str(number)]


def test_another_space_has_points_of_its_own_and_more_trials_only_add() -> None:
    few = [Proposals(replace(SEARCH, trials=3)).point(number) for number in range(3)]
    assert few == [Proposals(SEARCH).point(number) for number in range(3)]
    other = replace(SEARCH, space={("training", "base_lr"): RATE})
    assert Proposals(other).point(0)["training.base_lr"] != few[0]["training.base_lr"]


def test_points_are_spread_evenly_over_a_logarithmic_range() -> None:
    proposals = Proposals(replace(SEARCH, space={("training", "base_lr"): RATE}))
    drawn = [math.log10(float(str(proposals.point(n)["training.base_lr"]))) for n in range(300)]
    # Uniform on [-4, -1]: mean -2.5, its standard error 3 / sqrt(12 * 300) = 0.05.
    assert abs(sum(drawn) / 300 + 2.5) < 4 * 0.05
    assert -4 <= min(drawn) < -3.9
    assert -1.1 < max(drawn) <= -1


def test_a_finite_space_is_tried_without_repeating(open_queue: Callable[..., Queue]) -> None:
    tried = run_all(open_queue(tuning(6), proposals=Proposals(FINITE)))
    assert {(each["decoder.depth"], str(each["crop"])) for each in tried} == {
        (depth, crop) for depth in (1, 2, 3) for crop in ("None", "[1, 2]")
    }


def test_below_the_median_of_five_complete_trials_a_trial_is_pruned_and_counts(
    open_queue: Callable[..., Queue],
) -> None:
    queue = open_queue(tuning(7, variants=2), proposals=Proposals(replace(SEARCH, prune=True)))
    verdicts = []
    for number in range(7):
        for depth in range(2):
            claim = queue.claim("worker")
            assert claim is not None
            assert claim.cell.levels == {"decoder": f"depth {depth}"}
            # The second variant is worse throughout: only its own trials are its measure.
            verdicts.append(queue.report(claim, 1, 50.0 + number - 30 * depth if number < 5 else 10.0))
            if verdicts[-1]:
                queue.prune(claim, "hopeless")
            else:
                queue.finish(claim, 1.0, CellRecord())
    assert verdicts == [False] * 10 + [True] * 4
    pruned = [status for status in queue.status() if status.state == "PRUNED"]
    assert [(status.reason, status.is_done, status.value) for status in pruned] == [
        ("hopeless", True, None)
    ] * 4
    assert queue.pending() == 0
    assert queue.claim("worker") is None
    assert sum(trial.state == TrialState.PRUNED for trial in queue._trials.read()) == 4


def test_who_is_hopeless_is_what_optunas_median_pruner_says_of_the_trials_as_a_study_of_their_own() -> None:
    random = Random(0)
    proposals = Proposals(replace(SEARCH, prune=True))
    verdicts = []
    for complete in [*range(4, 10)] * 20:
        cells, study, trials = tuning(complete + 1), optuna.create_study(direction="maximize"), []
        for cell in cells:
            reports = {step: random.uniform(0, 100) for step in range(1, 1 + random.randint(0, 3))}
            attributes = {"cell": cell.id, "levels": dict(cell.levels), "fingerprint": cell.fingerprint}
            state = TrialState.RUNNING if cell == cells[-1] else TrialState.COMPLETE
            value = None if cell == cells[-1] else 1.0
            trials.append(
                create_trial(
                    state=state, value=value, user_attrs=attributes, intermediate_values=dict(reports)
                )
            )
        study.add_trials(trials)
        said = MedianPruner(n_startup_trials=5).prune(study, trials[-1])
        verdicts.append(said)
        assert proposals.is_hopeless(complete, cells[-1], trials) == said
    assert len(set(verdicts)) == 2


def test_nothing_is_pruned_unless_the_study_says_so(open_queue: Callable[..., Queue]) -> None:
    queue = open_queue(tuning(7), proposals=Proposals(SEARCH))
    for number in range(7):
        claim = queue.claim("worker")
        assert claim is not None
        assert not queue.report(claim, 1, 50.0 - number)
        queue.finish(claim, 1.0, CellRecord())
