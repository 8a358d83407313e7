"""URLs of databases: built from paths, taken apart again, and shown without their secrets.

A path is never pasted into a URL: `%41` in a folder's name would be read as `A`, and a `?` would end it.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, quote_plus

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from cmae_ablate.errors import UserError

_SECRET_KEY = re.compile(r"(?i)pass|pwd|secret|token|key|credential|auth")
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*(?=://)")
_IN_TEXT = re.compile(r"(?i)((?:pass\w*|pwd|secret|token)\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s&,;]+)")
_DAMAGE = ("file is not a database", "disk image is malformed")
"""What SQLite says of a file that is none of its databases, or no longer a whole one."""
_BESIDE = ("-journal", "-wal", "-shm")
HIDDEN = "***"
LAST_PORT = 2**16 - 1
_known_secrets: set[str] = set()


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file.

    Raises:
        UserError: No URL reads back as this path.
    """
    # Nothing is quoted without need, as SQLAlchemy would: MLflow creates a folder of the quoted name.
    quoted = str(path).replace("%", "%25").replace("?", "%3F")
    for database in (quoted, str(path)):  # SQLAlchemy unquotes from 2.1 on
        url = f"sqlite:///{database}"
        if sqlite_path(url) == path:
            return url
    raise UserError(f"{path}: no database can be in a folder of this name; choose another --out")


def with_small_scheme(url: str) -> str:
    """The same URL, its scheme in small letters, as some readers know no other; any other text as it is."""
    scheme = _SCHEME.match(url)
    return url if scheme is None else scheme.group().lower() + url[scheme.end() :]


def parse_url(url: str) -> URL | None:
    """A URL taken apart, its scheme in small letters; None of what is no URL."""
    try:
        return make_url(with_small_scheme(url))
    except (ArgumentError, ValueError):
        return None


def unreachable(url: URL) -> str:
    """Why no other process reaches what a URL names, and what to write; empty where one may."""
    if url.get_backend_name() == "sqlite":
        # With `uri` SQLite reads what follows by rules of its own, by which it may be memory.
        is_file = url.database not in (None, "", ":memory:") and not url.host and "uri" not in url.query
        return "" if is_file else "names no file that workers can share; write sqlite:////path.db"
    if url.port is not None and not 0 < url.port <= LAST_PORT:
        return f"{url.port} is no port; write one from 1 to {LAST_PORT}"
    if url.get_backend_name() in ("http", "https"):
        return "" if url.host else f"names no host; write {url.drivername}://host:5000"
    # A database may be reached by a socket or by what its driver reads of a query.
    is_somewhere = url.host or url.database or url.query
    return "" if is_somewhere else f"names no database; write {url.drivername}://user@host/database"


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite URL; None for any other, and for a database in memory."""
    parsed = parse_url(url)
    if parsed is None or parsed.get_backend_name() != "sqlite" or unreachable(parsed):
        return None
    return Path(str(parsed.database))


def redact(url: str) -> str:
    """The URL without its password and other secrets, for logs and errors; never fails.

    What is shown is put together again from the URL's parts. Where it cannot be taken apart, nothing but its
    scheme is shown: nobody knows then which part is the password.
    """
    scheme = _SCHEME.match(url)
    nothing = f"{scheme.group()}://{HIDDEN}" if scheme else HIDDEN if "@" in url else url
    parsed = parse_url(url)
    if parsed is None:
        return nothing
    if parsed.get_backend_name() == "sqlite" and not parsed.query:
        return url  # a file, as it was named
    if not _is_plain(parsed):
        return nothing
    if parsed.password is None and parsed.drivername.startswith("http") and parsed.username:
        parsed = parsed.set(username=HIDDEN)  # a token
    query = {name: HIDDEN if _SECRET_KEY.search(name) else value for name, value in parsed.query.items()}
    shown = parsed.set(query=query).render_as_string(hide_password=True)
    return shown.replace(quote(HIDDEN), HIDDEN)


def hide_secrets_of(url: str) -> None:
    """From now on `without_secrets` knows the password of this URL."""
    if (parsed := parse_url(url)) is None:
        return
    found = [parsed.password, *(v for k, v in parsed.query.items() if _SECRET_KEY.search(k))]
    for secret in (str(each) for each in found if each):
        _known_secrets.update({secret, quote(secret), quote_plus(secret)})


def without_secrets(text: str) -> str:
    """What a driver or a server said, without any password that is known or looks like one."""
    for secret in sorted(_known_secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _IN_TEXT.sub(rf"\1{HIDDEN}", re.sub(r"://.*@", f"://{HIDDEN}@", text))


def _is_plain(parsed: URL) -> bool:
    """Whether no part can hold a piece of a password that was not quoted, as in `p@ss` or `p w`."""
    shown = [value for name, value in parsed.query.items() if not _SECRET_KEY.search(name)]
    parts = [parsed.username, parsed.host, parsed.database, *parsed.query, *shown]
    return not any("@" in str(part) or " " in str(part) for part in parts if part is not None)


def cause_of(error: BaseException) -> str:
    """The driver's own words in one line: no SQL, no parameters, no URL."""
    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    original = getattr(error, "orig", None) or error
    # Whoever wraps an error of SQLAlchemy's into a text of its own, as MLflow, takes its statement along.
    said = str(original).partition("[SQL:")[0].partition("(Background on this error")[0]
    return without_secrets(" ".join(said.split()))[:300] or type(original).__name__


def is_damaged(error: BaseException) -> bool:
    """Whether SQLite says that the file itself is what is wrong: waiting cannot help, nor another try."""
    said = cause_of(error).lower()
    return any(words in said for words in _DAMAGE)


def move_aside(database: Path) -> str:
    """What to do with a damaged SQLite file: `move it aside`, with what a new one would take for its own."""
    beside = [f"{database.name}{ending}" for ending in _BESIDE]
    there = [name for name in beside if database.with_name(name).exists()]
    return f"move {' and '.join(['it', *there])} aside"
