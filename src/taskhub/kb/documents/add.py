"""Take a file in: its row, its bytes in parts, or the reason why it cannot be used."""

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import delete, exists, func, insert, select
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.extract import EXTENSIONS, MEDIA_TYPES, Format, format_of
from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.models import PART_BYTES, Document, DocumentPart, DocumentState


def add(
    session: Session,
    dataset: Dataset,
    path: str | Path | None = None,
    *,
    name: str | None = None,
    content: bytes | None = None,
    max_file_bytes: int = 67_108_864,
) -> Document:
    """The row of a new document, flushed in the caller's transaction; give a path, or name and content.

    A file that cannot be used is stored too: its state is `error`, its `error` says why, and it
    has no parts. At most one part of the file is in memory at a time.
    """
    if (path is None) == (content is None) or (content is not None and not name):
        raise TypeError("add() takes a path, or a name and its content")
    absolute = None if path is None else Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links, and fail on a loop
    document = Document(
        dataset_id=dataset.id,
        tenant_id=dataset.tenant_id,
        name=storable(name or (absolute.name if absolute else "")),
        source=None if absolute is None else storable(str(absolute)),
    )
    opened = _opened(absolute) if absolute is not None else _given(content or b"")
    try:
        with opened as file:
            _insert(session, document, file, max_file_bytes)
    except BadDocument as problem:
        if document in session:
            session.refresh(document)
        _refuse(document, problem)
        session.add(document)
        session.flush()
    return document


def _insert(session: Session, document: Document, file: BinaryIO, max_bytes: int) -> None:
    """The row with all that is known of its file, where that is one part; most files are."""
    found = _checked(document.name, file, max_bytes)
    content = file.read(PART_BYTES + 1)
    if len(content) <= PART_BYTES:
        digest = hashlib.sha256(content).hexdigest()
        _describe(document, found, len(content), digest, max_bytes)
        session.add(document)
        session.flush()
        values = {"document_id": document.id, "number": 0, "content": content}
        session.execute(insert(DocumentPart).values(values))
        return
    session.add(document)
    session.flush()
    # A savepoint: the parts of a file that fails half-way go, its row stays.
    with session.begin_nested():
        _store_parts(session, document, file, max_bytes)
    session.flush()


def read_again(session: Session, document: Document, *, max_file_bytes: int) -> None:
    """Take the file in once more from where it was, if nothing of it could be stored then.

    It changes nothing when the file is stored. The document's error says what is wrong now.
    """
    stored = session.scalar(select(exists().where(DocumentPart.document_id == document.id)))
    if stored or document.source is None:
        return
    _store(session, document, _opened(Path(document.source)), max_file_bytes)


def take_in(session: Session, document: Document, path: Path, *, max_file_bytes: int) -> None:
    """Store the file at `path` as the document's, which has its name and source already.

    A file that cannot be used makes its state `error`, as with `add`.
    """
    _store(session, document, _opened(path), max_file_bytes)


def storable(name: str) -> str:
    """The name as Postgres can keep it: no NUL, and bytes that are no UTF-8 shown as U+FFFD."""
    return os.fsencode(name.replace("\0", "")).decode("utf-8", "replace") if name else name


def _store(
    session: Session,
    document: Document,
    opened: AbstractContextManager[BinaryIO],
    max_file_bytes: int,
) -> None:
    try:
        # A savepoint: the parts of a file that fails half-way go, its row stays.
        with session.begin_nested(), opened as file:
            _store_parts(session, document, file, max_file_bytes)
    except BadDocument as problem:
        session.refresh(document)
        _refuse(document, problem)
    session.flush()
    session.refresh(document)


def _refuse(document: Document, problem: BadDocument) -> None:
    document.state = DocumentState.ERROR
    document.error = str(problem)
    document.error_kind = problem.kind
    document.error_at = func.now()


def _checked(name: str, file: BinaryIO, max_bytes: int) -> Format:
    found = format_of(name)
    if found is None:
        known = " ".join(sorted(EXTENSIONS))
        extension = Path(name).suffix or "none"
        raise BadDocument(
            Problem.UNKNOWN_FORMAT, f"file extension must be one of {known}, got {extension}"
        )
    if (size := file.seek(0, os.SEEK_END)) > max_bytes:
        raise _too_large(max_bytes, size)
    file.seek(0)
    return found


def _describe(document: Document, found: Format, taken: int, digest: str, max_bytes: int) -> None:
    # Counted here as well, because a file can grow after it was looked at.
    if taken > max_bytes:
        raise _too_large(max_bytes, taken)
    if taken == 0:
        raise BadDocument(Problem.EMPTY, "empty file")
    document.bytes = taken
    document.sha256 = digest
    document.format = found.value
    document.media_type = MEDIA_TYPES[found]
    document.state = DocumentState.WAITING
    document.error = document.error_kind = document.error_at = None


def _store_parts(session: Session, document: Document, file: BinaryIO, max_bytes: int) -> None:
    found = _checked(document.name, file, max_bytes)
    session.execute(delete(DocumentPart).where(DocumentPart.document_id == document.id))
    digest = hashlib.sha256()
    taken = 0
    for number, part in enumerate(_parts(file)):
        taken += len(part)
        if taken > max_bytes:
            raise _too_large(max_bytes, taken)
        digest.update(part)
        session.execute(
            insert(DocumentPart).values(document_id=document.id, number=number, content=part)
        )
    _describe(document, found, taken, digest.hexdigest(), max_bytes)


def _too_large(max_bytes: int, got: int) -> BadDocument:
    return BadDocument(
        Problem.TOO_LARGE,
        f"file must be at most {max_bytes} bytes, got {got}; raise max_file_bytes to take it",
    )


def _parts(file: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            part = file.read(PART_BYTES)
        except OSError as error:
            raise BadDocument(
                Problem.VANISHED, f"file could not be read to its end: {error.strerror}"
            ) from error
        if not part:
            return
        yield part


@contextmanager
def _given(content: bytes) -> Iterator[BinaryIO]:
    with io.BytesIO(content) as file:
        yield file


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The regular file at `path`, closed at the end."""
    try:
        # Opening a named pipe would wait for its other end, for ever.
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise BadDocument(Problem.NOT_A_FILE, "is a directory, not a file")
        if not stat.S_ISREG(mode):
            raise BadDocument(Problem.NOT_A_FILE, "is a device, pipe or socket, not a file")
    except FileNotFoundError:
        raise BadDocument(Problem.MISSING, "file does not exist; it may have been moved") from None
    except OSError as error:
        raise BadDocument(
            Problem.UNREADABLE, f"file could not be read: {error.strerror}"
        ) from error
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise BadDocument(Problem.VANISHED, "file vanished while it was being read") from None
    except OSError as error:
        raise BadDocument(
            Problem.UNREADABLE, f"file could not be read: {error.strerror}"
        ) from error
    with file:
        yield file
