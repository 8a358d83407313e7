"""Run the command line, and record in which order it wrote its first line and imported what is heavy.

python tests/cli/recorder.py RECORD.json ARGUMENT ...
"""

from __future__ import annotations

import atexit
import json
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

HEAVY = ("torch", "torchvision", "timm", "mlflow", "matplotlib", "optuna", "pandas", "scipy", "statsmodels")
events: list[str] = []


class Finder:
    """Sees every import before it happens; finds nothing itself."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        if name in HEAVY:
            events.append(name)
        return None


if __name__ == "__main__":
    record = Path(sys.argv[1])
    atexit.register(lambda: record.write_text(json.dumps(events)))
    sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
    sys.argv = ["cmae-ablate", *sys.argv[2:]]
    from cmae_ablate import terminal
    from cmae_ablate.cli.app import main

    class Recorded(terminal.Output):
        """Notes when the first line of it has reached the system."""

        def write(self, data: ReadableBuffer) -> int:
            """Write, and note it."""
            name = {1: "stdout", 2: "stderr"}[self.fileno()]
            if b"\n" in bytes(data) and name not in events:
                events.append(name)
            return super().write(data)

    terminal.Output = Recorded  # type: ignore[misc]
    main()
