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
from typing import Any, TextIO

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


class Recorded:
    """A stream that notes when the first line of it was flushed."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name, self._has_line = stream, name, False

    def write(self, text: str) -> int:
        self._has_line = self._has_line or "\n" in text
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()
        if self._has_line and self._name not in events:
            events.append(self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


if __name__ == "__main__":
    record = Path(sys.argv[1])
    atexit.register(lambda: record.write_text(json.dumps(events)))
    sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
    sys.stdout, sys.stderr = Recorded(sys.stdout, "stdout"), Recorded(sys.stderr, "stderr")  # type: ignore[assignment]
    sys.argv = ["cmae-ablate", *sys.argv[2:]]
    from cmae_ablate.cli.app import main

    main()
