"""What components there are, kept between commands: who only reads a study needs no torch.

The signature of a component stays the one place that says what may be set. The catalogue is a copy of what
all signatures said when they were last imported, in the user's cache. It is read only if every file that was
imported for it is the very file it was then; else the components are imported, and it is written anew.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import psutil
import pydantic

from cmae_ablate.checkpoint import text_digest
from cmae_ablate.components.registry import (
    SLOTS,
    ComponentSpec,
    Deferred,
    Facts,
    option_fields,
    options_model,
)
from cmae_ablate.components.signature import Find, NotPlainError, fields_as_json, fields_from_json
from cmae_ablate.files import DamagedError, cache_root, read_record, sealed, write_atomically

FORMAT = 1
LIBRARIES = ("torch", "torchvision", "timm", "numpy")
CERTAIN = 2.0
"""Seconds by which a process must be younger than a file to have imported what lies there: the system tells
the start of a process only roughly."""
PACKAGE = Path(__file__).parents[1]
OWN = f"{__package__}."
_log = logging.getLogger(__name__)


class Plugin(NamedTuple):
    """An entry point of an installed package: its name, what it names, and the package's version."""

    name: str
    value: str
    version: str


@dataclass(frozen=True)
class Source:
    """Where a component comes from.

    Attributes:
        slot: Its slot.
        name: What a study calls it.
        module: The module that registers it.
    """

    slot: str
    name: str
    module: str


@dataclass(frozen=True)
class Catalogue:
    """The catalogue of an installation and its plug-ins.

    Attributes:
        path: Its file.
        plugins: The plug-ins.
    """

    path: Path
    plugins: tuple[Plugin, ...]

    @classmethod
    def of(cls, plugins: tuple[Plugin, ...]) -> Catalogue:
        """That of this interpreter and this package: two installations do not take turns in one file."""
        whose = text_digest(repr((str(PACKAGE), sys.prefix, plugins)))
        return cls(cache_root() / "components" / f"{whose[:16]}.json", plugins)

    def read(self, load: Callable[[Source], Any], find: Find) -> list[ComponentSpec[Any]] | None:
        """Every component, not imported yet; None where the catalogue is missing, old or damaged.

        Args:
            load: Imports a component when it is built.
            find: Finds functions that signatures name.
        """
        try:
            record = read_record(self.path)
            if record["made_with"] != self._made_with() or not _unchanged(record["files"]):
                return None
            return [_component(each, load, find) for each in record["components"]]
        except FileNotFoundError:
            return None
        except (DamagedError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
            _log.info("%s: not used, and written anew (%s)", self.path, error)
            return None

    def digest(self) -> str | None:
        """Of all files and versions that it stands for; None where it is not what is registered now."""
        record = self._current()
        if record is None:
            return None
        versions = [version(library) for library in LIBRARIES]
        return text_digest(json.dumps([record["made_with"], record["files"], versions], sort_keys=True))

    def _current(self) -> Mapping[str, Any] | None:
        """The record, if it is of these files and versions and of what is registered now."""
        try:
            record = read_record(self.path)
            known = {(each["slot"], each["name"], each["module"]) for each in record["components"]}
            current = record["made_with"] == self._made_with() and _unchanged(record["files"])
        except (FileNotFoundError, DamagedError, OSError, LookupError, TypeError):
            return None
        registered = {(slot, component.name, component.module) for slot in SLOTS for component in SLOTS[slot]}
        return record if current and known == registered else None

    def write(self, modules: Iterable[str]) -> None:
        """Keep what is registered now, if it can be kept and is not; nothing is said where it cannot.

        Args:
            modules: What was imported for the plug-ins.
        """
        if self._current() is not None:
            return
        try:
            imported = {name: sys.modules[name] for name in modules if name in sys.modules}
            of_plugins = [_file(module) for module in imported.values() if not _is_namespace(module)]
            files = [*_own_files(), *of_plugins]
            if max(file.stat().st_ctime for file in files) > psutil.Process().create_time() - CERTAIN:
                return  # what was imported may be older than what lies there now
            record = {
                "made_with": self._made_with(),
                "files": {str(file): _state(file) for file in files},
                "components": [
                    _as_json(component, imported) for registry in SLOTS.values() for component in registry
                ],
            }
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, sealed(record))
        except (NotPlainError, OSError) as error:
            _log.info("%s: not written (%s)", self.path, error)

    def _made_with(self) -> list[Any]:
        return [FORMAT, sys.version, pydantic.VERSION, [list(plugin) for plugin in self.plugins]]


def _as_json(component: ComponentSpec[Any], imported: Mapping[str, ModuleType]) -> dict[str, Any]:
    factory = component.factory
    if isinstance(factory, Deferred) or not (
        factory.__module__.startswith(OWN) or factory.__module__ in imported
    ):
        # Registered by whoever started this process; no other process will know it.
        raise NotPlainError(f"{component.slot}: {component.name} is no plug-in's")
    fields = fields_as_json(option_fields(factory))
    _check(component, options_model(component.name, fields_from_json(fields, _found)))
    return {
        **asdict(Source(component.slot, component.name, factory.__module__)),
        "qualname": factory.__qualname__,
        "version": component.version,
        "fields": fields,
        "facts": {**asdict(component.facts), "metrics": list(component.facts.metrics)},
        "roles": {
            "files": list(component.files),
            "epochs": component.epochs,
            "warmup": component.warmup,
            "normalization": component.normalization,
            "place": component.place,
            "draw": component.draw,
            "spans": dict(component.spans),
        },
    }


def _check(component: ComponentSpec[Any], read: type[pydantic.BaseModel]) -> None:
    """Nothing is kept that does not read back as it was."""
    if read.model_json_schema() != component.options.model_json_schema():
        raise NotPlainError(f"the options of {component.slot}: {component.name}")


def _component(record: Mapping[str, Any], load: Callable[[Source], Any], find: Find) -> ComponentSpec[Any]:
    source = Source(record["slot"], record["name"], record["module"])
    facts, roles = record["facts"], record["roles"]
    return ComponentSpec(
        source.slot,
        source.name,
        record["version"],
        Deferred(
            source.module,
            record["qualname"],
            Facts(**{**facts, "metrics": tuple(facts["metrics"])}),
            partial(load, source),
        ),
        options_model(source.name, fields_from_json(record["fields"], find)),
        **{**roles, "files": tuple(roles["files"])},
    )


def _found(module: str, name: str) -> Any:
    """A function that has been imported already, by its name."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise NotPlainError(f"{module}.{name} cannot be found by its name")
    return found


def _own_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _is_namespace(module: ModuleType) -> bool:
    return getattr(module, "__file__", None) is None and hasattr(module, "__path__")


def _file(module: ModuleType) -> Path:
    file = getattr(module, "__file__", None)
    if file is None:
        raise NotPlainError(f"{module.__name__} comes from no file")
    return Path(file)


def _state(file: Path) -> list[int]:
    """Changes whenever a file is written, replaced or renamed."""
    found = file.stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _unchanged(files: Mapping[str, Sequence[int]]) -> bool:
    own = {str(file) for file in _own_files()}
    return own <= set(files) and all(_state(Path(file)) == list(state) for file, state in files.items())
