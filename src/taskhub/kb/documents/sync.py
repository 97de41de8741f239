"""Compare a document with where it came from: a file of this machine, or a web address."""

import hashlib
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from taskhub.kb.documents.extract import MEDIA_TYPES, Format, format_of
from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.models import Document
from taskhub.kb.documents.switches import listed
from taskhub.kb.documents.web import FetchLimits, fetch_url

_SAME_AS = {"application/xhtml+xml": "text/html", "text/x-markdown": "text/markdown"}
# They say nothing of what is inside, so the address's extension may.
_VAGUE = frozenset({"", "application/octet-stream", "binary/octet-stream", "text/plain"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What stands in a document's row of where it came from, and of what came."""

    address: str
    sha256: str | None = None
    etag: str | None = None
    modified: str | None = None

    @property
    def is_web(self) -> bool:
        """Whether it is a web address; else it is a path."""
        return is_web(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the source has now.

    Attributes:
        path: the file; None if it is what was stored.
    """

    path: Path | None
    name: str
    etag: str | None = None
    modified: str | None = None


def is_web(address: str) -> bool:
    """Whether it is a web address; else it is a path."""
    return urlsplit(address).scheme.lower() in ("http", "https")


@contextmanager
def opened(source: Source, limits: FetchLimits) -> Iterator[Found]:
    """What the source has now, on disk until the end; costs one read or one request.

    Raises:
        BadDocument: the source is gone, or cannot be used.
        NotReached: the server did not answer; another try may help.
    """
    if not source.is_web:
        path = Path(source.address)
        # One that is too large is not read to its end to know that it changed.
        is_same = _size(path) <= limits.max_bytes and _sha256(path) == source.sha256
        yield Found(path=None if is_same else path, name=path.name)
        return
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "fetched").open("w+b") as file:
        # Without what was stored, the server must not answer that nothing changed.
        known = source if source.sha256 is not None else Source(address=source.address)
        fetched = fetch_url(
            source.address, file, limits, etag=known.etag, modified=known.modified
        )  # fmt: skip
        file.flush()
        path = Path(file.name)
        is_same = not fetched.is_new or _sha256(path) == source.sha256
        yield Found(
            path=None if is_same else path,
            name=name_of(fetched.url, fetched.media_type),
            etag=fetched.etag if fetched.is_new else source.etag,
            modified=fetched.modified if fetched.is_new else source.modified,
        )


def name_of(url: str, media_type: str = "") -> str:
    """A name for what an address stands for, whose extension is that of its kind."""
    parts = urlsplit(url)
    name = PurePosixPath(unquote(parts.path)).name.strip() or parts.hostname or "page"
    told = _format(media_type)
    if told is None or format_of(name) is told:
        return name
    if media_type in _VAGUE and format_of(name) is not None:
        return name
    return f"{name}.{told.value}"


def _format(media_type: str) -> Format | None:
    wanted = _SAME_AS.get(media_type, media_type)
    return next((kind for kind, known in MEDIA_TYPES.items() if known == wanted), None)


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise BadDocument(
            Problem.MISSING, "the source does not exist any more; replace or delete the document"
        ) from None
    except OSError as error:
        raise _unreadable(error) from error
    # Reading a named pipe would wait for its other end, for ever.
    if not stat.S_ISREG(status.st_mode):
        raise BadDocument(Problem.NOT_A_FILE, "the source is a directory, device, pipe or socket")
    return status.st_size


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> BadDocument:
    return BadDocument(Problem.UNREADABLE, f"the source could not be read: {error.strerror}")


def note(session: Session, document: Document, found: Found) -> None:
    """Write down that its source was compared with this document, and what was said of it."""
    document.synced_at = func.now()
    document.source_etag, document.source_modified = found.etag, found.modified
    session.flush()


def with_source(dataset_id: int) -> Select[int]:
    """The ids of a dataset's documents that can be compared with where they came from."""
    return (
        select(Document.id)
        .where(
            Document.dataset_id == dataset_id,
            Document.source.is_not(None),
            Document.archived.is_(False),
            listed(),
        )
        .order_by(Document.id)
    )
