"""`plan --json` and `status --json`: the same numbers as on the screen, unrounded, for programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cmae_ablate.cli.seeds_told import record_of
from cmae_ablate.cli.status import Standing, begun, hours_left, look
from cmae_ablate.queue import CellStatus
from cmae_ablate.report.wording import json_number
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.options import Options
from cmae_ablate.runner.tuning import tuning_of
from cmae_ablate.runner.untaken import untaken_cells
from cmae_ablate.study import design
from cmae_ablate.study.design import POSITIVE

if TYPE_CHECKING:
    from cmae_ablate.cli.planning import VariantPlan

Record = dict[str, Any]


def plan_records(options: Options, console: Console) -> Record:
    """What a study will cost; of one on several data sets each by its label, and all together.

    Args:
        options: The command line's.
        console: Gets what is said beside it.

    Raises:
        UserError: The study is wrong.
    """
    return _of_each(options, partial(_plan, console=console), _planned_in_all)


def status_records(options: Options, console: Console) -> Record:
    """Where a study stands: as `plan_records`. Before anything has run there are no cells."""
    return _of_each(options, partial(_status, console=console), _status_of_all)


def _of_each(
    options: Options, of_one: Callable[[Options], Record], of_all: Callable[[Sequence[Record]], Record]
) -> Record:
    """A study's record; of one on several data sets theirs by label, below what holds of all."""
    if len(options.parts) == 1:
        return of_one(options)
    records = {str(part.dataset): of_one(part) for part in options.parts}
    study = options.parts[0].load()
    named = {"study": study.group, "question": study.question, "metric": study.metric}
    return {**named, **of_all([*records.values()]), "datasets": records}


def _planned_in_all(records: Sequence[Record]) -> Record:
    tunings = [each["tuning"] for each in records if each["tuning"]]
    return {
        **_sums(records, "cells", "control_cells", "hours"),
        "tuning": _sums(tunings, "trainings", "hours") if tunings else None,
    }


def _status_of_all(records: Sequence[Record]) -> Record:
    return {key: all(each[key] for each in records) for key in ("has_run", "is_over")}


def _sums(records: Sequence[Record], *keys: str) -> Record:
    return {key: sum(each[key] for each in records) for key in keys}


def _plan(options: Options, console: Console) -> Record:
    from cmae_ablate.cli.planning import plan_study

    plan = plan_study(options, console)
    study = plan.study
    return {
        "study": study.name,
        "question": study.question,
        "scale": study.scale,
        "reference": design.reference_label(study),
        "seeds": study.seeds,
        "metric": study.metric,
        "variants": [_variant(each, plan.cells(each)) for each in plan.table],
        "controls": [_variant(each, plan.cells(each)) for each in plan.controls],
        "cells": len(plan.table) * study.seeds,
        "control_cells": plan.control_cells,
        "hours": plan.hours,
        "tuning": {"trainings": plan.tuning.trainings, "hours": plan.tuning.hours} if plan.tuning else None,
        "basis": plan.table[0].hours.basis,
        "notes": list(plan.notes),
        **(
            {} if study.rule is None else {"seed_rule": study.rule.to_json(), "first_hours": plan.first_hours}
        ),
        **({} if plan.expected_cells is None else {"expected_cells": plan.expected_cells}),
    }


def _status(options: Options, console: Console) -> Record:
    study, experiment = options.load(), begun(options, console)
    found = look(experiment) if experiment else None
    kinds = {"tuning": found.tuning, "cell": found.cells, "control": found.controls} if found else {}
    return {
        "study": study.name,
        "question": study.question,
        "metric": study.metric,
        "has_run": found is not None and any(each.trial is not None for each in found.all),
        "is_over": found is not None and found.is_over,
        "left": found.left if found else None,
        "untaken": _untaken(experiment, found) if experiment and found else None,
        "seeds": record_of(found.settling, study.rule) if found and found.settling and study.rule else None,
        "hours_left": hours_left(*kinds.values()) if found else None,
        "cells": [
            _cell(each, kind, found.stalled.get(each.cell.id) if found else None)
            for kind, group in kinds.items()
            for each in group
        ],
    }


def _untaken(experiment: Experiment, found: Standing) -> int:
    """How many finished cells of variants and seeds still to do were made otherwise: `status` says how."""
    tuned = untaken_cells(tuning_of(experiment), found.tuning) if found.tuning else []
    return len(tuned) + len(untaken_cells(experiment, found.cells))


def _variant(plan: VariantPlan, cells: int) -> Record:
    trained = plan.variant.control in (None, POSITIVE)
    cost = plan.cost
    return {
        "variant": plan.variant.label,
        "cells": cells,
        "hours": plan.hours.hours,
        "epochs": plan.variant.spec.training.epochs if trained else None,
        "params_encoder": cost.params_encoder if trained else None,
        "params_decoder": cost.params_decoder if trained else None,
        "params_objectives": sum(cost.params_objectives.values()) if trained else None,
        "flops_image": cost.flops_image if trained else None,
        "memory_bytes": cost.memory_bytes if trained else None,
    }


def _cell(status: CellStatus, kind: str, stalled: float | None) -> Record:
    value = status.value
    return {
        "kind": kind,
        "variant": status.cell.variant,
        "seed": status.cell.seed,
        "state": status.state.lower(),
        "value": json_number(value),
        "attempts": status.attempts,
        "worker": status.worker,
        "heartbeat_seconds": status.lease_age,
        "no_step_seconds": None if stalled is None else time.time() - stalled,
        "reason": status.reason,
        "log": status.log or None,
    }
