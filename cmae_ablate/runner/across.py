"""`report A.yaml B.yaml ...`: one summary of several studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from cmae_ablate.errors import UserError
from cmae_ablate.report import read_controls_beside, read_trials
from cmae_ablate.runner import results
from cmae_ablate.runner.analysis_plan import PLAN_FILE, read_plan, with_plan
from cmae_ablate.runner.experiment import controls_of
from cmae_ablate.runner.imported import imported_notes
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.paper_roles import roles_of
from cmae_ablate.runner.reporting import describe, describe_unread, has_state, read_queue, say_report, settled
from cmae_ablate.runner.results import StudyTrials
from cmae_ablate.runner.setting import caveat
from cmae_ablate.study import design

if TYPE_CHECKING:  # imported where a summary is made
    import pandas as pd

    from cmae_ablate.report import StudyPart

SUMMARY = "summary"


def report_across(studies: Sequence[Options], console: Console) -> int:
    """`report A.yaml B.yaml ...`: one summary of several studies, in OUT/summary.

    Each study's cells come from its queue; where there is none, as after copying results from another
    machine, from OUT/STUDY/trials.csv.

    Returns:
        0 when every cell of every study is complete, else 1.

    Raises:
        UserError: A study has no results yet, or is given twice.
    """
    from cmae_ablate.report import combine

    parts = [part_of(options, console) for options in studies]
    folder = studies[0].out / SUMMARY
    files = combine(parts, folder)
    say_report(files, "Which change earns its cost, and where?", folder, console)
    return int(any(has_open_cells(part) for part in parts))


def copied_trials(options: Options) -> Path:
    """Where a study's results lie that were copied from another machine, without its database."""
    return options.out / options.load().name / "trials.csv"


def has_open_cells(part: StudyPart) -> bool:
    """Whether some cell is not complete, or has no row at all."""
    trials, study = part.trials, part.description
    complete = trials[trials["state"] == "COMPLETE"]
    known = set(zip(complete["variant"], complete["seed"], strict=True))
    expected = product(study.variants, study.expected_seeds)
    return len(complete) < len(trials) or not known.issuperset(expected)


def part_of(options: Options, console: Console) -> StudyPart:
    """A study with whatever is complete of it, as pages over several take it.

    Raises:
        UserError: Nothing of it is complete.
    """
    import pandas as pd

    from cmae_ablate.report import StudyPart

    study = options.load()
    description, trials, variants = describe_unread(study), pd.DataFrame(), design.variants(study)
    controls: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    if has_state(options):
        experiment = settled(options.begin(study, console))
        found = StudyTrials.of(read_queue(experiment))
        description, trials = describe(experiment, found), found.frame
        variants, notes = experiment.variants, imported_notes(found.statuses)
        apart = read_queue(controls_of(experiment))
        controls = results.controls_frame(variants, apart, found.chosen, redraws=study.redraws)
    copied = copied_trials(options)
    if not _any_complete(trials) and copied.is_file():
        known = replace(describe_unread(study), caveat=caveat(variants))
        description = with_plan(known, study, read_plan(copied.with_name(PLAN_FILE)))
        trials = read_trials(copied, description)
        controls, notes = read_controls_beside(copied, trials, description)
    if not _any_complete(trials):
        raise UserError(
            f"{options.study}: nothing of {study.name} is complete in {options.out}; "
            f"run it first: {options.command}"
        )
    return StudyPart(
        description,
        trials,
        results.dataset_of(variants),
        results.setting_of(variants),
        roles_of(variants, description.reference, trials),
        controls,
        notes,
    )


def _any_complete(trials: pd.DataFrame) -> bool:
    return len(trials) > 0 and bool((trials["state"] == "COMPLETE").any())
