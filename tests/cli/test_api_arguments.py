"""What Python hands over is held to the command line's rules: a mistake is one `UserError` that names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cmae_ablate as ca
from cmae_ablate.cli.api_arguments import path_text, whole_number

WRONG = [
    ({"seeds": 2.5}, r"^seeds: 2\.5 \(float\); an integer is expected"),
    ({"seeds": np.float64(2)}, r"^seeds: .*2\.0.*an integer is expected"),
    ({"seeds": True}, r"^seeds: True \(bool\); an integer is expected"),
    ({"seeds": "3"}, r"^seeds: '3' \(str\); an integer is expected"),
    ({"seeds": [3]}, r"^seeds: \[3\] \(list\)"),
    ({"seeds": np.int64(0)}, "a number of seeds from 1"),
    ({"settings": ["training.epochs=1"]}, r"^settings: \['training\.epochs=1'\] \(list\); a mapping is expe"),
    ({"settings": "training.epochs=1"}, r"^settings: .*\(str\); a mapping is expected"),
    ({"settings": {1: 2}}, r"^settings: a key: 1 \(int\); a text is expected"),
    ({"study": None}, r"^study: None \(NoneType\); a text or a pathlib\.Path is expected"),
    ({"study": 3}, r"^study: 3 \(int\)"),
    ({"study": b"decoder_size"}, r"^study: b'decoder_size' \(bytes\)"),
    ({"study": " "}, "^study: it is empty"),
    ({"scale": 3}, r"^scale: 3 \(int\); a text or a pathlib\.Path is expected"),
    ({"scale": ""}, "^scale: it is empty"),
    ({"dataset": 3}, r"^dataset: 3 \(int\); a text is expected"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_load_study_refuses_what_no_command_line_could_mean(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ca.UserError, match=message):
        ca.load_study(**{"study": "decoder_size", **arguments})


WRONG_OF_RUN = [
    ({"out": None}, r"^out: None \(NoneType\); a text or a pathlib\.Path is expected"),
    ({"out": ""}, "^out: it is empty"),
    ({"workers": 1.5}, r"^workers: 1\.5 \(float\); an integer is expected"),
    ({"workers": True}, r"^workers: True \(bool\); an integer is expected"),
    ({"workers": None}, r"^workers: None"),
    ({"workers": np.int64(0)}, "^--workers 0: a number from 1"),
    ({"device": ["cpu"]}, r"^device: \['cpu'\] \(list\); a text is expected"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_OF_RUN)
def test_run_refuses_alike_before_anything_is_made(
    arguments: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = ca.load_study("decoder_size")
    with pytest.raises(ca.UserError, match=message):
        study.run(**{"out": "runs", "device": "cpu", **arguments})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "place"), [((None,), "name"), (("s", None), "out"), (("", "o"), "name")]
)
def test_load_result_refuses_alike(arguments: tuple[Any, ...], place: str) -> None:
    with pytest.raises(ca.UserError, match=f"^{place}: "):
        ca.load_result(*arguments)


@pytest.mark.parametrize("kind", [int, np.int8, np.int64, np.uint16])
def test_integers_of_numpy_pass(kind: Callable[[int], Any]) -> None:
    found = whole_number(kind(3), "seeds")
    assert (found, type(found)) == (3, int)
    assert ca.load_study("decoder_size", seeds=kind(3))._options.load().seeds == 3


def test_a_path_is_taken_character_for_character() -> None:
    typed = "my runs: 50%, #1? "
    assert path_text(typed, "out") == path_text(Path(typed), "out") == typed
