"""Where components are imported by name: this package's own and those of installed plug-ins."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable
from functools import cache, partial, reduce
from importlib.metadata import entry_points
from typing import Any

from cmae_ablate import components
from cmae_ablate.components import evaluation_protocols, protocols
from cmae_ablate.components.catalogue import Catalogue, Plugin, Source
from cmae_ablate.components.registry import SLOTS
from cmae_ablate.errors import UserError

PLUGIN_GROUP = "cmae_ablate.components"
MODULES_VARIABLE = "CMAE_ABLATE_COMPONENTS"
"""Environment variable: names of modules that register components and are no plug-in's, commas between."""
# All slots are declared there.
assert {protocols.DATASETS.slot, evaluation_protocols.EVALUATIONS.slot} <= set(SLOTS)


@cache
def load_components() -> None:
    """Let every slot know its components, with options, documentation and what they say of themselves.

    Where torch is not imported yet they are taken from the catalogue that the last import left, if nothing
    has changed since; each is then imported when it is built.

    Raises:
        UserError: A plug-in fails to import.
    """
    if "torch" not in sys.modules:
        known = Catalogue.of(_plugins()).read(_imported, _function)
        if known is not None:
            for component in known:
                SLOTS[component.slot].foresee(component)
            return
    import_components()


@cache
def import_components() -> None:
    """Import every component of this package and of installed plug-ins, once.

    Raises:
        UserError: A plug-in fails to import.
    """
    for module in pkgutil.walk_packages(components.__path__, f"{components.__name__}."):
        importlib.import_module(module.name)
    before = set(sys.modules)
    for plugin in entry_points(group=PLUGIN_GROUP):
        _load(plugin.load, f"plug-in '{plugin.name}' ({plugin.value})", "fix or uninstall it")
    for name in named_modules():
        remedy = "fix it, or let PYTHONPATH name its folder"
        _load(partial(importlib.import_module, name), f"{MODULES_VARIABLE}: '{name}'", remedy)
    Catalogue.of(_plugins()).write(sorted(set(sys.modules) - before))


def named_modules() -> tuple[str, ...]:
    """The modules that the environment names."""
    return tuple(filter(None, map(str.strip, os.environ.get(MODULES_VARIABLE, "").split(","))))


def registering_modules() -> tuple[str, ...]:
    """Modules of neither this package nor a plug-in that have registered components in this process."""
    own = (
        components.__name__,
        *(plugin.value.partition(":")[0] for plugin in entry_points(group=PLUGIN_GROUP)),
    )
    found = {component.module for registry in SLOTS.values() for component in registry}
    return tuple(
        sorted(each for each in found if not f"{each}.".startswith(tuple(f"{name}." for name in own)))
    )


def _load(load: Callable[[], object], what: str, remedy: str) -> None:
    try:
        load()
    except (Exception, SystemExit) as error:
        raise UserError(f"{what} cannot be loaded: {type(error).__name__}: {error}; {remedy}") from error


def code_digest() -> str | None:
    """Changes with every file of this package and of its plug-ins, and with the libraries that compute.

    Returns:
        None where it is not known which files those are.
    """
    return Catalogue.of(_plugins()).digest()


def _plugins() -> tuple[Plugin, ...]:
    found = entry_points(group=PLUGIN_GROUP)
    versions = {each: each.dist.version if each.dist else "" for each in found}
    named = (Plugin(module, module, MODULES_VARIABLE) for module in named_modules())
    return tuple(
        sorted([*(Plugin(each.name, each.value, version) for each, version in versions.items()), *named])
    )


def _imported(source: Source) -> Callable[..., Any]:
    """The class of a component that the catalogue knows; its module registers it."""
    if source.module.startswith(f"{components.__name__}."):
        importlib.import_module(source.module)
    else:
        import_components()
    return SLOTS[source.slot][source.name].factory


def _function(module: str, name: str) -> Any:
    """A function that a signature names, such as a validator."""
    found: Any = importlib.import_module(module)
    return reduce(getattr, name.split("."), found)
