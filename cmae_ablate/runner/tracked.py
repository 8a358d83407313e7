"""What a cell's MLflow run holds, told while it is trained, or later from what queue and cache keep of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cmae_ablate.files import DamagedError
from cmae_ablate.queue import CellStatus
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.cell import CellContext, load_model
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.runner.finished import check_record, folder_of, whole_picture
from cmae_ablate.study.design import Cell
from cmae_ablate.study.trial_spec import TrialSpec
from cmae_ablate.tracking.tracker import CellRun, Tracker
from cmae_ablate.training.loop import image_size_of
from cmae_ablate.training.pictures import reconstructions, save_reconstructions, spread

PICTURES, PICTURE = 8, "reconstructions.png"


def flat_parameters(cell: Cell) -> dict[str, str]:
    """The resolved trial as `slot.option: value` texts."""
    return {"seed": str(cell.seed), "variant": cell.variant.label, **_flat(cell.spec)}


def variant_parameters(experiment: Experiment) -> dict[str, dict[str, str]]:
    """Each variant's resolved trial; its levels alone where its cells have settings of their own."""
    if experiment.is_tuning or experiment.own_specs:
        return {each.label: dict(each.levels) for each in experiment.variants}
    return {each.label: {"variant": each.label, **_flat(each.spec)} for each in experiment.variants}


def _flat(spec: TrialSpec) -> dict[str, str]:
    flat: dict[str, str] = {}

    def add(prefix: str, node: object) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                add(f"{prefix}.{key}" if prefix else key, value)
        else:
            flat[prefix] = str(node)

    add("", spec.to_tree())
    return flat


def tell_result(
    run: CellRun,
    cell: Cell,
    found: CellRecord,
    history: Sequence[Mapping[str, float]],
) -> None:
    """Give a run what its cell found.

    Args:
        run: The cell's.
        cell: The cell.
        found: What it ends with.
        history: Metrics by epoch, as far as they have not been told.
    """
    for epoch, values in enumerate(history, start=1):
        run.log_metrics(epoch, values)
    run.log_results(cell.spec.training.epochs, dict(found.metrics))
    run.log_dict(cell.spec.to_tree(), "configuration.json")
    run.log_dict(dict(found.protocols), "protocols.json")


def tell_picture(
    run: CellRun, cell: Cell, context: CellContext, folder: Path, warn: Callable[[str], None]
) -> None:
    """Give a run the picture of what its model reconstructs, drawn once a folder."""
    picture = folder / PICTURE
    if not whole_picture(picture, warn):
        model = load_model(cell.spec, context, folder)
        size = image_size_of(cell.spec, context.data)
        indices = spread(len(context.data.validation), PICTURES)
        drawn = reconstructions(
            model, context.data, context.data.validation, indices, size, context.runtime.device
        )
        save_reconstructions(drawn, picture)
    run.log_artifact(picture, "pictures")


def make_up_for(experiment: Experiment, statuses: Sequence[CellStatus], tracker: Tracker) -> None:
    """Let the run of each complete cell that did not come to its end, for MLflow was away, do so now."""
    complete = {  # but for what was imported, which has been told when it was
        (each.cell.variant, each.cell.seed, each.cell.fingerprint): each
        for each in statuses
        if each.state == "COMPLETE" and each.record.folder is not None
    }
    for key in tracker.untold(list(complete)) if complete else ():
        _tell_again(experiment, complete[key], tracker)


def _tell_again(experiment: Experiment, status: CellStatus, tracker: Tracker) -> None:
    cell = experiment.cell(status.cell, status.settings)
    folder, history = folder_of(status.record, experiment.places.cache), status.record.history
    assert folder is not None
    with suppress(FileNotFoundError, DamagedError):  # from another machine, or pruned: the numbers are here
        history = check_record(folder).history
    tags = {"fingerprint": status.cell.fingerprint}
    run = tracker.start_cell(cell.variant.label, cell.seed, flat_parameters(cell), tags)
    tell_result(run, cell, status.record, history)
    if (folder / PICTURE).is_file():
        run.log_artifact(folder / PICTURE, "pictures")
    run.finish("FINISHED")
