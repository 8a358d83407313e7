"""Where components are imported by name: this package's own and those of installed plug-ins."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points

from cmae_ablate import components
from cmae_ablate.errors import UserError

PLUGIN_GROUP = "cmae_ablate.components"


@cache
def load_components() -> None:
    """Import every component of this package and of installed plug-ins, once.

    Raises:
        UserError: A plug-in fails to import.
    """
    for module in pkgutil.walk_packages(components.__path__, f"{components.__name__}."):
        importlib.import_module(module.name)
    for plugin in entry_points(group=PLUGIN_GROUP):
        try:
            plugin.load()
        except (Exception, SystemExit) as error:
            raise UserError(
                f"plug-in '{plugin.name}' ({plugin.value}) cannot be loaded: "
                f"{type(error).__name__}: {error}; fix or uninstall it"
            ) from error
