"""Whether what lies in a finished pretraining's folder is what was recorded when it was made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmae_ablate.checkpoint import text_digest, weights_sha256
from cmae_ablate.files import DamagedError, MissingError, file_sha256, read_record, set_aside
from cmae_ablate.report.cell_record import CellRecord
from cmae_ablate.runner.result_files import CandidateRecord, EvaluationRecord, PretrainingRecord
from cmae_ablate.study.choice import Choice

if TYPE_CHECKING:
    from torch import Tensor

RESULT, WEIGHTS, CROP = "result.json", "model.safetensors", "crop.safetensors"
Warn = Callable[[str], None]


def folder_of(record: CellRecord, cache: Path) -> Path | None:
    """What a finished cell left on disk: in the cache of this `--out`, else where it was made.

    An `--out` that was copied is a state of its own: what becomes of the copy is seen in the copy.

    Args:
        record: The cell's.
        cache: Of this `--out`.

    Returns:
        None of a cell that was imported; a folder that is not there where it was pruned.
    """
    made = record.folder
    if made is None:
        return None
    own = cache.joinpath(*made.parts[-2:])
    # A folder without any record was pruned, or is of a training that came to its end elsewhere.
    is_own = any(own.glob("*.json")) or (own.is_dir() and not made.is_dir())
    return own if is_own else made


def check_record(folder: Path) -> PretrainingRecord:
    """The record of a finished pretraining, by itself.

    Args:
        folder: The pretraining's own.

    Raises:
        FileNotFoundError: There is none: the pretraining is not finished.
        DamagedError: It is not what was written.
    """
    try:
        return PretrainingRecord.from_json(read_record(folder / RESULT))
    except ValueError as error:
        raise DamagedError(folder / RESULT, str(error)) from error


def check_pretraining(folder: Path) -> PretrainingRecord | None:
    """The record of a finished pretraining, whose weights are those that it names.

    Returns:
        None where there is no record: the pretraining is not finished.

    Raises:
        DamagedError: The record, the weights or the crop's state is not what was written.
    """
    try:
        record, _ = read_pretraining(folder)
    except FileNotFoundError:
        return None
    check_files(folder, record)
    return record


def read_pretraining(folder: Path) -> tuple[PretrainingRecord, dict[str, Tensor]]:
    """The record of a finished pretraining, with the weights that it names.

    Raises:
        FileNotFoundError: There is no record: the pretraining is not finished.
        DamagedError: The record or the weights are not what was written.
    """
    record, state = check_record(folder), _read_weights(folder / WEIGHTS)
    if weights_sha256(state) != record.weights_sha256:
        raise DamagedError(folder / WEIGHTS, f"not the weights that {RESULT} records")
    return record, state


def check_files(folder: Path, record: PretrainingRecord) -> None:
    """Compare the files beside the weights, such as what the crop learnt, with their record.

    Raises:
        DamagedError: One is not what was written.
    """
    for name, digest in record.files.items():
        if file_sha256(folder / name) != digest:
            raise DamagedError(folder / name, f"not the file that {RESULT} records")


def whole_pretraining(folder: Path, warn: Warn) -> PretrainingRecord | None:
    """As `check_pretraining`; what is damaged is named, set aside and counts as not finished.

    To be called with the folder's lock held.

    Raises:
        UserError: It is damaged and cannot be set aside.
    """
    try:
        return check_pretraining(folder)
    except DamagedError as error:
        places = [set_aside(path) for path in (error.path, folder / RESULT) if path.exists()]
        warn(f"{error}; kept as {' and '.join(each.name for each in places)}, trained again")
        return None


def evaluation_path(choice: Choice, folder: Path) -> Path:
    """The file that an evaluation's record has in a cell's folder."""
    identity = json.dumps([choice.name, choice.version, dict(choice.options)], sort_keys=True)
    return folder / f"{choice.name}-{text_digest(identity)[:16]}.json"


def read_evaluation(path: Path) -> EvaluationRecord:
    """The record of an evaluation, by itself.

    Raises:
        FileNotFoundError: There is none.
        DamagedError: It is not what was written.
    """
    try:
        return EvaluationRecord.from_json(read_record(path))
    except ValueError as error:
        raise DamagedError(path, str(error)) from error


def check_evaluation(path: Path, weights: str) -> EvaluationRecord | None:
    """The record of an evaluation, of these very weights, with the predictions that it names.

    Args:
        path: Of the record.
        weights: SHA-256 of what was evaluated; empty for what has none.

    Returns:
        None where there is none, and where other weights were evaluated: those were trained anew since.

    Raises:
        DamagedError: The record or its predictions are not what was written.
    """
    try:
        record = read_evaluation(path)
    except FileNotFoundError:
        return None
    if record.weights_sha256 not in (None, weights):
        return None
    check_predictions(path.parent, record)
    for candidate in record.candidates:
        check_predictions(path.parent, candidate)
    return record


def check_predictions(folder: Path, record: EvaluationRecord | CandidateRecord) -> NDArray[np.int64] | None:
    """The predicted classes that a record names, (n,); None where it names none.

    Raises:
        DamagedError: They are not what was written.
    """
    if record.predictions is None:
        return None
    path = folder / record.predictions
    digest = file_sha256(path)
    if record.predictions_sha256 not in (None, digest):
        raise DamagedError(path, "not the predictions that were recorded")
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DamagedError(path, "no array") from error
    if not isinstance(found, np.ndarray) or found.ndim != 1 or found.dtype.kind not in "iu":
        raise DamagedError(path, "no list of classes")
    return found.astype(np.int64)


def whole_evaluation(path: Path, weights: str, warn: Warn) -> EvaluationRecord | None:
    """As `check_evaluation`; what is damaged is named, set aside and counts as not done.

    Raises:
        UserError: It is damaged and cannot be set aside.
    """
    try:
        return check_evaluation(path, weights)
    except DamagedError as error:
        places = [set_aside(each) for each in dict.fromkeys((error.path, path)) if each.exists()]
        warn(f"{error}; kept as {' and '.join(each.name for each in places)}, evaluated again")
        return None


def whole_picture(path: Path, warn: Warn) -> bool:
    """Whether a picture is there and can be shown; a damaged one is named and set aside.

    Raises:
        UserError: It is damaged and cannot be set aside.
    """
    if not path.exists():
        return False
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            picture.verify()  # its checksums
    except (OSError, SyntaxError, ValueError) as error:
        warn(f"{path}: damaged ({type(error).__name__}); kept as {set_aside(path).name}, drawn again")
        return False
    return True


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        raise MissingError(path)
    if not path.is_file():
        raise DamagedError(path, "no file")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no safetensors"
        raise DamagedError(path, f"cannot be read: {reason}") from error
