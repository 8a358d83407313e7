"""The pickles of CIFAR, read without running what a pickle from a stranger may ask for."""

from __future__ import annotations

import io
import pickle
from typing import NoReturn

import numpy as np

from cmae_ablate.components.datasets.small_arrays import Labelled

# What an array's pickle calls first, by the pickle protocol: NumPy has it under no public name.
_EMPTY_ARRAY = np.empty(0).__reduce__()[0]
# All that the official files refer to; in Python 2's names and in those of newer NumPy.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _EMPTY_ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _EMPTY_ARRAY,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> object:
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            _refuse(f"refers to {module_name}.{global_name}")

    def persistent_load(self, pid: object) -> NoReturn:
        _refuse("refers to a persistent object")


def _refuse(what: str) -> NoReturn:
    raise pickle.UnpicklingError(f"{what}, which no CIFAR file does")


def read_dictionary(contents: bytes) -> dict[str, object]:
    """A pickled dictionary of plain values and arrays.

    Raises:
        ValueError: The pickle is damaged, asks for anything else, or holds no dictionary.
    """
    try:
        # latin1, because the official files were written by Python 2.
        found = _ArraysOnly(io.BytesIO(contents), encoding="latin1").load()
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise ValueError(f"no readable CIFAR pickle: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"holds a {type(found).__name__} instead of a dictionary")
    return found


def read_batch(contents: bytes, label_key: str, size: int) -> Labelled:
    """One batch file: flat rows of red, green and blue planes, with labels.

    Args:
        contents: The file.
        label_key: `labels` or `fine_labels`.
        size: Height and width of the images.

    Raises:
        ValueError: Anything about it is not as it should be.
    """
    batch = read_dictionary(contents)
    data, labels = batch.get("data"), batch.get(label_key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3 * size * size,):
        raise ValueError(f"'data' is no uint8 array of {3 * size * size} columns")
    if (
        not isinstance(labels, list)
        or len(labels) != len(data)
        or not all(type(one) is int for one in labels)
    ):
        raise ValueError(f"'{label_key}' is no list of {len(data)} whole numbers")
    return Labelled(data.reshape(-1, 3, size, size), np.array(labels, np.int64))


def read_names(contents: bytes, key: str) -> tuple[str, ...]:
    """Class names from a meta file.

    Raises:
        ValueError: They are not there.
    """
    names = read_dictionary(contents).get(key)
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"'{key}' is no list of names")
    return tuple(names)
