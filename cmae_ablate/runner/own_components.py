"""Components that a script or a notebook registered: what its workers must import before they train."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmae_ablate.components.loading import MODULES_VARIABLE, named_modules, registering_modules
from cmae_ablate.errors import UserError

PATH_VARIABLE = "PYTHONPATH"


@contextmanager
def known_to_workers() -> Iterator[None]:
    """Let processes that are started inside import every module that registered a component in this one.

    Raises:
        UserError: One was registered by the notebook's cells or by the script itself, which nothing else can
            import.
    """
    modules = registering_modules()
    if "__main__" in modules:
        raise UserError(
            "a component is registered in the notebook or script itself, which its workers cannot import; "
            "move it into a module of its own beside it, say my_components.py, and import that"
        )
    if not modules:
        yield
        return
    folders = [_folder(module) for module in modules]
    paths = [*dict.fromkeys(folders), *filter(None, [os.environ.get(PATH_VARIABLE)])]
    given = {
        MODULES_VARIABLE: ",".join(dict.fromkeys([*named_modules(), *modules])),
        PATH_VARIABLE: os.pathsep.join(paths),
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _folder(module: str) -> str:
    """The folder from which a module, of a package or not, is imported."""
    file = getattr(sys.modules[module], "__file__", None)
    if file is None:
        raise UserError(f"component module '{module}' comes from no file, so that workers cannot import it")
    depth = module.count(".") + (Path(file).stem == "__init__")
    return str(Path(file).resolve().parents[depth])
