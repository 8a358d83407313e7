"""Why a file in a class folder is no image of that class."""

from __future__ import annotations

from cmae_ablate.components.datasets.file_tree import READ_ERRORS, FolderTree
from cmae_ablate.components.datasets.tool_files import has_image_name
from cmae_ablate.files import open_to_read

MISNAMED = "image(s) whose names do not end as images' do (rename them, to .jpg for example)"
FOREIGN = "image(s) of formats that are not read (save them as PNG or JPEG)"
NO_IMAGE = "file(s) in class folders that are no images"
THUMBNAILS = "image(s) in folders of thumbnails or caches inside classes"

_FOREIGN = (
    *(
        ".heic",
        ".heif",
        ".avif",
        ".jxl",
        ".jp2",
        ".j2k",
        ".svg",
        ".psd",
        ".eps",
        ".ps",
        ".pdf",
        ".ico",
        ".tga",
    ),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".exr", ".hdr", ".dcm", ".xcf"),
)
_SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"BM",
    b"RIFF",
    b"II*\0",
    b"MM\0*",
    b"P5\n",
    b"P6\n",
)
_THUMBNAIL_FOLDERS = {"thumbnails", "thumbnail", "thumbs", "thumb", "_thumbs", "cache", "_cache"}


def no_image_of_its_class(tree: FolderTree, path: str, below: str) -> str | None:
    """Why a file in a class folder is left out; None where it is an image. `below` is its path in there."""
    if any(folder.lower() in _THUMBNAIL_FOLDERS for folder in below.split("/")[:-1]):
        return THUMBNAILS if has_image_name(path) else NO_IMAGE
    if has_image_name(path):
        return None
    if path.lower().endswith(_FOREIGN):
        return FOREIGN
    return MISNAMED if _begins_as_an_image(tree.absolute(path)) else NO_IMAGE


def _begins_as_an_image(path: str) -> bool:
    try:
        with open_to_read(path) as file:
            return file.read(16).startswith(_SIGNATURES)
    except READ_ERRORS:
        return False
