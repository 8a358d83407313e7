"""Whether what lies in a finished pretraining's folder is what was recorded when it was made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cmae_ablate.checkpoint import text_digest, weights_sha256
from cmae_ablate.records import DamagedError, file_sha256, is_numbers, read_record, set_aside
from cmae_ablate.study.trial_spec import Choice

RESULT, WEIGHTS, CROP = "result.json", "model.safetensors", "crop.safetensors"
Warn = Callable[[str], None]


def check_record(folder: Path) -> dict[str, Any]:
    """The record of a finished pretraining, by itself.

    Args:
        folder: The pretraining's own.

    Raises:
        FileNotFoundError: There is none: the pretraining is not finished.
        DamagedError: It is not what was written.
    """
    record = read_record(folder / RESULT)
    kinds = {"metrics": dict, "weights_sha256": str, "history": list, "spec": dict, "seed": int}
    for key, kind in kinds.items():
        if not isinstance(record.get(key), kind):
            raise DamagedError(folder / RESULT, f"its {key} is missing or of another kind")
    if not is_numbers(record["metrics"]) or not all(is_numbers(each) for each in record["history"]):
        raise DamagedError(folder / RESULT, "a metric is no number")
    return record


def check_pretraining(folder: Path) -> dict[str, Any] | None:
    """The record of a finished pretraining, whose weights are those that it names.

    Returns:
        None where there is no record: the pretraining is not finished.

    Raises:
        DamagedError: The record, the weights or the crop's state is not what was written.
    """
    try:
        record = check_record(folder)
    except FileNotFoundError:
        return None
    if _weights_of(folder / WEIGHTS) != record["weights_sha256"]:
        raise DamagedError(folder / WEIGHTS, f"not the weights that {RESULT} records")
    check_files(folder, record)
    return record


def check_files(folder: Path, record: Mapping[str, Any]) -> None:
    """Compare the files beside the weights, such as what the crop learnt, with their record.

    Raises:
        DamagedError: One is not what was written.
    """
    files = record.get("files", {})
    if not isinstance(files, dict):
        raise DamagedError(folder / RESULT, "its files are of another kind")
    for name, digest in files.items():
        if file_sha256(folder / name) != digest:
            raise DamagedError(folder / name, f"not the file that {RESULT} records")


def whole_pretraining(folder: Path, warn: Warn) -> dict[str, Any] | None:
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


def check_evaluation(path: Path, weights: str) -> dict[str, Any] | None:
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
        record = read_record(path)
    except FileNotFoundError:
        return None
    kinds = {"metrics": dict, "protocol": str, "chosen": dict}
    for key, kind in kinds.items():
        if not isinstance(record.get(key), kind):
            raise DamagedError(path, f"its {key} is missing or of another kind")
    if record.get("weights_sha256", weights) != weights:
        return None
    for part in (record, *record.get("candidates", ())):
        if not is_numbers(part["metrics"]):
            raise DamagedError(path, "a metric is no number")
        check_predictions(path.parent, part)
    return record


def check_predictions(folder: Path, record: Mapping[str, Any]) -> NDArray[np.int64] | None:
    """The predicted classes that an evaluation's record names, (n,); None where it names none.

    Raises:
        DamagedError: They are not what was written.
    """
    name = record.get("predictions")
    if name is None:
        return None
    path = folder / str(name)
    digest = file_sha256(path)
    if record.get("predictions_sha256", digest) != digest:
        raise DamagedError(path, "not the predictions that were recorded")
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DamagedError(path, "no array") from error
    if not isinstance(found, np.ndarray) or found.ndim != 1 or found.dtype.kind not in "iu":
        raise DamagedError(path, "no list of classes")
    return found.astype(np.int64)


def whole_evaluation(path: Path, weights: str, warn: Warn) -> dict[str, Any] | None:
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


def _weights_of(path: Path) -> str:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise DamagedError(path, "missing, or no file")
    try:
        return weights_sha256(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no safetensors"
        raise DamagedError(path, f"cannot be read: {reason}") from error
