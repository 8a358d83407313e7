"""The catalogue of components: what it says is what their signatures say, and it is never older than they."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cmae_ablate.components import catalogue
from cmae_ablate.components.catalogue import Catalogue, Plugin, Source
from cmae_ablate.components.loading import import_components
from cmae_ablate.components.registry import SLOTS, ComponentSpec, Deferred

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quiet_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a moment ago may have been imported before they were written: here they were not."""
    monkeypatch.setattr(catalogue, "CERTAIN", -1e9)


@pytest.fixture
def kept(tmp_path: Path) -> Catalogue:
    import_components()
    found = Catalogue(tmp_path / "components.json", ())
    found.write([])
    return found


def never(*_: Any) -> Any:
    raise AssertionError("nothing is to be imported")


def read(found: Catalogue) -> dict[tuple[str, str], ComponentSpec[Any]]:
    components = found.read(never, catalogue._found)
    assert components is not None
    return {(each.slot, each.name): each for each in components}


def test_it_says_of_every_component_what_its_signature_says(kept: Catalogue) -> None:
    known = read(kept)
    for slot, registry in SLOTS.items():
        for component in registry:
            foreseen = known.pop((slot, component.name))
            assert foreseen.options.model_json_schema() == component.options.model_json_schema()
            assert (foreseen.version, foreseen.facts, foreseen.summary) == (
                component.version,
                component.facts,
                component.summary,
            )
            assert (foreseen.files, foreseen.epochs, foreseen.warmup, foreseen.normalization) == (
                component.files,
                component.epochs,
                component.warmup,
                component.normalization,
            )
    assert known == {}


def test_one_that_says_what_is_registered_is_not_worked_out_again(
    kept: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_as_json", never)
    kept.write([])


def test_options_are_filled_in_and_refused_as_by_the_component_itself(kept: Catalogue) -> None:
    known = read(kept)["crop", "random_resized"]
    assert known.validate({"scale": [0.5, 1.0]}) == {"scale": [0.5, 1.0], "ratio": [0.75, 4 / 3]}
    for wrong in ({"scale": [1.0, 0.5]}, {"scale": "wide"}, {"sclae": [0.5, 1.0]}, {"scale": [0.5]}):
        with pytest.raises(ValueError, match=r"scale|sclae"):
            known.validate(wrong)


def test_a_component_is_imported_when_it_is_built_and_not_before(kept: Catalogue) -> None:
    asked: list[Source] = []

    def load(source: Source) -> Any:
        asked.append(source)
        return SLOTS[source.slot][source.name].factory

    components = kept.read(load, catalogue._found)
    assert components is not None
    grid = next(each for each in components if (each.slot, each.name) == ("masking", "grid"))
    assert isinstance(grid.factory, Deferred)
    assert asked == []
    built = grid.build({"stride": 2}, (4, 4))
    assert [source.module for source in asked] == ["cmae_ablate.components.masking.grid"]
    assert type(built) is SLOTS["masking"]["grid"].factory


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[ModuleType]:
    """A module that stands for what was imported for a plug-in."""
    module = ModuleType("a_plug_in")
    module.__file__ = str(tmp_path / "a_plug_in.py")
    Path(module.__file__).write_text("LIMIT = 3\n")
    sys.modules["a_plug_in"] = module
    yield module
    del sys.modules["a_plug_in"]


@pytest.mark.parametrize("change", ["rewritten", "same size and time", "gone", "replaced"])
def test_a_file_of_a_plug_in_that_changes_makes_it_old(
    change: str, plugin: ModuleType, tmp_path: Path
) -> None:
    import_components()
    found = Catalogue(tmp_path / "components.json", (Plugin("a", "a_plug_in", "1.0"),))
    found.write(["a_plug_in"])
    assert found.read(never, catalogue._found) is not None
    file = Path(str(plugin.__file__))
    before = file.stat()
    if change == "rewritten":
        file.write_text("LIMIT = 44\n")
    elif change == "same size and time":
        file.write_text("LIMIT = 4\n")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "gone":
        file.unlink()
    else:
        (tmp_path / "other.py").write_text("LIMIT = 4\n")
        (tmp_path / "other.py").replace(file)
    assert found.read(never, catalogue._found) is None


def test_a_new_file_of_this_package_makes_it_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_components()
    package = tmp_path / "package"
    package.mkdir()
    (package / "one.py").touch()
    monkeypatch.setattr(catalogue, "PACKAGE", package)
    found = Catalogue(tmp_path / "components.json", ())
    found.write([])
    assert found.read(never, catalogue._found) is not None
    (package / "two.py").touch()
    assert found.read(never, catalogue._found) is None


def test_other_plug_ins_another_python_and_another_pydantic_make_it_old(
    kept: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Catalogue(kept.path, (Plugin("a", "b", "2"),)).read(never, never) is None
    monkeypatch.setattr(catalogue.pydantic, "VERSION", "0.1")
    assert kept.read(never, never) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"made_with": 1}', b"\xff\xfe"])
def test_a_damaged_one_is_not_used_and_written_anew(damage: bytes, kept: Catalogue) -> None:
    whole = kept.path.read_bytes()
    kept.path.write_bytes(damage)
    assert kept.read(never, never) is None
    kept.write([])
    assert kept.path.read_bytes() == whole


def test_a_flipped_byte_is_noticed(kept: Catalogue) -> None:
    whole = kept.path.read_bytes()
    kept.path.write_bytes(whole.replace(b'"version": 1', b'"version": 2', 1))
    assert kept.read(never, never) is None


def test_what_only_this_process_registered_is_never_kept(tmp_path: Path) -> None:
    masking = SLOTS["masking"]

    @masking.register("of_a_notebook")
    class OfANotebook:
        """A masking that no other process knows."""

    try:
        found = Catalogue(tmp_path / "components.json", ())
        found.write([])
        assert not found.path.exists()
    finally:
        del masking._components["of_a_notebook"]


def test_files_younger_than_the_process_are_not_taken_for_what_it_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_components()
    monkeypatch.setattr(catalogue, "CERTAIN", 1e9)
    found = Catalogue(tmp_path / "components.json", ())
    found.write([])
    assert not found.path.exists()


PLUGIN = '''
from typing import Annotated
from pydantic import Field
from cmae_ablate.slots import TARGETS

@TARGETS.register("made_up")
class MadeUp:
    """Made up.

    Args:
        size: Of it.
    """

    def __init__(self, patch_size: int, *, size: Annotated[int, Field(ge=1, le=LIMIT)] = 1) -> None:
        self.size = size
'''


def test_commands_read_an_edited_plug_in_anew(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "made_up-1.0.dist-info").mkdir(parents=True)
    (site / "made_up-1.0.dist-info" / "METADATA").write_text("Name: made_up\nVersion: 1.0\n")
    entry = "[cmae_ablate.components]\nmade_up = made_up\n"
    (site / "made_up-1.0.dist-info" / "entry_points.txt").write_text(entry)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "CMAE_ABLATE_CACHE": str(tmp_path / "cache"),
    }

    def shown() -> str:
        command = [sys.executable, "-m", "cmae_ablate", "components", "made_up"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    (site / "made_up.py").write_text(PLUGIN.replace("LIMIT", "77"))
    time.sleep(3)  # a younger file is not taken for what was imported
    assert "≤ 77" in shown()
    assert list((tmp_path / "cache" / "components").glob("*.json"))
    assert "≤ 77" in shown()
    (site / "made_up.py").write_text(PLUGIN.replace("LIMIT", "88"))
    assert "≤ 88" in shown()
