"""Programs of Slurm that write down how they were called, and answer what a test wants."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

# sbatch starts the tasks, if the test wants them; squeue says what the file `states` holds.
PROGRAM = """\
#!{python} -SE
import json, os, subprocess, sys
here, name = os.path.split(os.path.abspath(sys.argv[0]))
at = lambda file: os.path.join(here, file)
with open(at(name + ".calls"), "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if os.path.exists(at(name + ".refuses")):
    sys.stderr.write(open(at(name + ".refuses")).read())
    sys.exit(1)
if name == "sbatch":
    options = dict(each[2:].split("=", 1) for each in sys.argv[1:] if "=" in each)
    with open(at("environment"), "w") as file:
        json.dump(dict(os.environ), file)
    for index in range(int(options["array"].split("-")[1]) + 1):
        if os.path.exists(at("starts")):
            log = open(options["output"].replace("%a", str(index)).replace("%%", "%"), "ab")
            variables = dict(os.environ, SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID=str(index))
            subprocess.Popen(["sh", "-c", options["wrap"]], env=variables, stdout=log, stderr=log)
    print("7;local")
if name == "squeue":
    if not os.path.exists(at("states")):
        sys.exit("squeue: error: no controller")
    print(open(at("states")).read(), end="")
if name == "scancel" and os.path.exists(at("states")):
    text = open(at("states")).read()
    with open(at("states"), "w") as file:
        file.write(text.replace("PENDING", "CANCELLED"))
"""


class FakeSlurm:
    """sbatch, squeue, scancel and scontrol of a folder that comes first on PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("sbatch", "squeue", "scancel", "scontrol"):
            program = folder / name
            program.write_text(PROGRAM.format(python=sys.executable))
            program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")

    def starts_tasks(self) -> None:
        (self.folder / "starts").touch()

    def refuses(self, program: str, words: str) -> None:
        (self.folder / f"{program}.refuses").write_text(words)

    def says(self, states: str) -> None:
        """What squeue prints from now on; before, it fails."""
        (self.folder / "states").write_text(states)

    def calls(self, program: str) -> list[list[str]]:
        """The arguments of each call so far."""
        path = self.folder / f"{program}.calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def environment(self) -> dict[str, str]:
        """Of the job."""
        found: dict[str, str] = json.loads((self.folder / "environment").read_text())
        return found
