"""TensorBoard as a place that keeps runs: `tensorboard:DIR`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from cmae_ablate.errors import UserError
from cmae_ablate.tracking.connection import program
from cmae_ablate.tracking.tensorboard_folders import cell_folder, study_folder
from cmae_ablate.tracking.tensorboard_tracker import TensorBoardTracker
from cmae_ablate.tracking.tracker import CellId

PORT = 6006


@dataclass(frozen=True)
class TensorBoard:
    """A `Backend`: a folder of event files.

    Args:
        uri: `tensorboard:` and the folder, character for character.
    """

    uri: str

    @property
    def name(self) -> str:
        return "TensorBoard"

    @property
    def shown(self) -> str:
        return self.uri  # there is no password in a folder

    @property
    def pages(self) -> str:
        return f"http://127.0.0.1:{PORT}"

    @property
    def is_at_hand(self) -> bool:
        return True

    @property
    def exists(self) -> bool:
        return self.folder.is_dir()

    @property
    def database(self) -> None:
        return None  # every process writes files of its own

    @property
    def folder(self) -> Path:
        """Below which `tensorboard --logdir` finds the runs."""
        return Path(self.uri.partition(":")[2]).absolute()

    def check(self) -> None:
        """Refuse a folder that cannot be one, or a machine without TensorBoard's package.

        Raises:
            UserError: Either.
        """
        typed = self.uri.partition(":")[2]
        if not typed or typed.startswith("//"):
            raise UserError(
                f"--tracking-uri {self.uri}: no folder is named; write tensorboard:DIR, such as "
                "tensorboard:runs/tensorboard or tensorboard:/scratch/tensorboard"
            )
        try:
            there = next(each for each in (self.folder, *self.folder.parents) if os.path.lexists(each))
            if not there.is_dir():
                raise NotADirectoryError(0, f"{there} is no folder")
            if not os.access(there, os.W_OK | os.X_OK):
                raise PermissionError(0, f"{there} cannot be written to")
            os.stat(there / self.folder.name)
        except FileNotFoundError:
            pass  # it will be made
        except OSError as error:
            raise self._refusal(error) from error
        if find_spec("tensorboard") is None:
            raise UserError(
                f"--tracking-uri {self.uri}: TensorBoard's package is missing; "
                "pip install 'cmae-ablate[tensorboard]'"
            )

    def load(self) -> None:
        """Import what writes event files."""
        from torch.utils.tensorboard import RecordWriter  # noqa: F401

    def open(self, out: Path, study: str) -> TensorBoardTracker:
        """The tracker of a study; all that it writes goes to the folder of the address, and nothing to `out`.

        Raises:
            UserError: As `check`, or the folder cannot be made.
        """
        self.check()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._refusal(error) from error
        folder = study_folder(self.folder, study)
        return TensorBoardTracker(folder, self._address(folder))

    def ui_command(self) -> str:
        """The command that serves the runs."""
        served = [
            *program("tensorboard", "tensorboard.main"),
            "--logdir",
            str(self.folder),
            "--port",
            str(PORT),
        ]
        return shlex.join(served)

    def links(self, study: str, cells: Collection[CellId]) -> dict[CellId, str]:
        """The addresses of those cells' runs that have a folder."""
        found = {}
        for cell in cells:
            folder = cell_folder(study_folder(self.folder, study), cell)
            if folder.is_dir():
                found[cell] = self._address(folder)
        return found

    def _address(self, folder: Path) -> str:
        """Where a browser finds the runs below a folder: the page's filter is a pattern."""
        run = folder.relative_to(self.folder).as_posix()
        pattern = "".join(f"\\{each}" if each in r"\.^$*+?()[]{}|" else each for each in run)
        return f"{self.pages}/?runFilter={quote(f'^{pattern}(/|$)')}#timeseries"

    def _refusal(self, error: OSError) -> UserError:
        return UserError(
            f"--tracking-uri {self.uri}: cannot be made a folder ({error.strerror}); choose another"
        )
