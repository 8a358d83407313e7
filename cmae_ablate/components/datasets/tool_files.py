"""Files and folders that no one put there: caches, thumbnails and notes of systems and tools."""

from __future__ import annotations

from functools import lru_cache

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
"""How names of images end, in any case: those of the formats that are decoded."""

TOOL = "hidden file(s), or files of a system or tool"
HIDDEN = "hidden image(s), by a leading dot in the name or a folder's name"

_FILES = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini"}
_FOLDERS = {
    *("__macosx", "__pycache__", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "lost+found"),
    *("system volume information", ".thumbnails", ".cache", ".ipynb_checkpoints", ".git", ".svn", ".hg"),
    *(".ds_store", ".appledouble", ".spotlight-v100", ".fseventsd", ".trashes", ".idea", ".vscode"),
}


def has_image_name(path: str) -> bool:
    """Whether a path ends as images do."""
    stem, _, ending = path.rpartition("/")[2].rpartition(".")
    return bool(stem) and f".{ending.lower()}" in EXTENSIONS


def tool_reason(path: str) -> str | None:
    """Why a file is hidden or a tool's, by its name and those of its folders; None where it is neither.

    Args:
        path: Relative to the data set, with `/` between the parts: what lies above it does not count.
    """
    folder, _, name = path.rpartition("/")
    above = _folder_reason(folder) if folder else None
    if above is TOOL or name.startswith("._") or name.lower() in _FILES:
        return TOOL
    if above is HIDDEN or name.startswith("."):
        return HIDDEN if has_image_name(name) else TOOL
    return None


@lru_cache(maxsize=4096)
def _folder_reason(folder: str) -> str | None:
    parts = folder.split("/")
    if any(part.lower() in _FOLDERS or part.startswith(".Trash") for part in parts):
        return TOOL
    return HIDDEN if any(part.startswith(".") for part in parts) else None
