"""`cache list` and `cache prune`: the space that finished and interrupted cells take."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from rich.console import Console

from cmae_ablate.errors import UserError
from cmae_ablate.runner.cache import Entry, damaged_plans, entries, prunable, remove
from cmae_ablate.terminal import say, say_table


def show_cache(out: Path, console: Console) -> None:
    """List every entry with its size, what it is, which study uses it, and when it was last of use.

    Raises:
        UserError: There is no such `--out`.
    """
    found = _entries(out)
    header = ("entry", "size", "of it state", "is", "cell", "used by", "last use")
    say_table(header, [_row(entry) for entry in found], console)
    unused = [entry for entry in found if entry.is_unused]
    say(
        f"{len(found)} entries, {megabytes(found)}; {megabytes(unused)} in {len(unused)} of them that no "
        f"study uses now; {shutil.disk_usage(out).free / 1e6:,.0f} MB free on the disk",
        console,
    )


def prune_cache(out: Path, unused: bool, older_than: float | None, dry_run: bool, console: Console) -> None:
    """Empty the entries that fit every given condition; what a study has reported stays in its queue.

    Raises:
        UserError: No condition is given, or there is no such `--out`.
    """
    if not unused and older_than is None:
        raise UserError("cache prune: say what may go: --unused, --older-than DAYS, or both")
    if older_than is not None and not 0 <= older_than < math.inf:
        raise UserError(f"--older-than {older_than:g}: a number of days from 0 is expected")
    found = _entries(out)
    for damaged in damaged_plans(out.resolve()) if unused else ():
        raise UserError(
            f"{damaged}: what its study needs is unknown, so nothing counts as unused; run or report that "
            "study once, which writes the file anew, or name what may go by --older-than"
        )
    going = prunable(found, unused=unused, older_than=older_than)
    freed = 0
    for entry in going:
        size = entry.size if dry_run else remove(entry)
        freed += size
        word = "would go" if dry_run else "gone" if size else "kept, a worker has just taken it"
        say(f"{word}: {entry.folder.name[:12]}, {_said_of(entry)}", console)
    running = sum(entry.state == "running" for entry in found)
    say(
        f"{'would free' if dry_run else 'freed'} {freed / 1e6:,.1f} MB of {megabytes(found)}"
        + (f"; {running} entries are running and stay" if running else ""),
        console,
    )
    if going and not dry_run:
        say(
            "results stay in the queue and in trials.csv; without weights and predictions these cells have "
            "no pictures, exports and intervals over images, and a new evaluation trains them again",
            console,
        )


def cache_line(out: Path, study: str) -> str:
    """The space that a study's entries take, in a line for `status`."""
    found = entries(out)
    own = [entry for entry in found if any(use.study == study and use.is_current for use in entry.uses)]
    states = sum(entry.training_state for entry in own) / 1e6
    return (
        f"cache {megabytes(found)} in {out / 'cache'}: {megabytes(own)} of this study ({states:,.1f} MB of "
        f"it training states), {megabytes([entry for entry in found if entry.is_unused])} in no study now"
    )


def megabytes(found: list[Entry]) -> str:
    """The size of some entries in words."""
    return f"{sum(entry.size for entry in found) / 1e6:,.1f} MB"


def _entries(out: Path) -> list[Entry]:
    if not out.is_dir():
        what = "this is a file, no folder" if out.exists() else "there is no such folder"
        raise UserError(f"--out {out}: {what}; name the one that the study ran with")
    if not (out / "cache").is_dir():
        raise UserError(f"--out {out}: no study has run in this folder; name the one that it ran with")
    return entries(out.resolve())


def _row(entry: Entry) -> list[str]:
    cells = dict.fromkeys(f"{use.variant}, seed {use.seed}" for use in entry.uses)
    users = dict.fromkeys(
        use.study if use.is_current else f"{use.study}, older settings" for use in entry.uses
    )
    return [
        entry.folder.name[:12],
        f"{entry.size / 1e6:,.1f} MB",
        f"{entry.training_state / 1e6:,.1f} MB" if entry.training_state else "",
        entry.state,
        "; ".join(cells) or entry.made_from,
        "; ".join(users) or "-",
        f"{entry.days:.1f} days ago",
    ]


def _said_of(entry: Entry) -> str:
    _, size, _, state, cells, users, days = _row(entry)
    return f"{size}, {state}, {cells or 'unknown'}, used by {users}, {days}"
