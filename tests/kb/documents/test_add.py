import hashlib
import os
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.add import add, read_again
from taskhub.kb.documents.extract import EXTENSIONS
from taskhub.kb.documents.fetch import fetch
from taskhub.kb.documents.models import PART_BYTES, Document, DocumentPart, DocumentState


def parts_of(session: Session, document: Document) -> int:
    query = select(func.count()).where(DocumentPart.document_id == document.id)
    return session.scalar(query) or 0


def test_a_file_is_stored_in_parts_and_comes_back_whole(
    session: Session, dataset: Dataset, tmp_path: Path
) -> None:
    content = os.urandom(2 * PART_BYTES + 7)
    path = tmp_path / "notes.txt"
    path.write_bytes(content)

    document = add(session, dataset, path)

    assert (document.state, document.bytes, document.name) == ("waiting", len(content), "notes.txt")
    assert (document.format, document.media_type) == ("txt", "text/plain")
    assert document.sha256 == hashlib.sha256(content).hexdigest()
    assert parts_of(session, document) == 3
    with (tmp_path / "copy").open("w+b") as copy:
        assert fetch(session, document.id, copy) == len(content)
        assert copy.read() == content


def test_content_without_a_path_is_stored_under_its_name(
    session: Session, dataset: Dataset
) -> None:
    document = add(session, dataset, name="said.md", content="hello 你好".encode())

    assert (document.state, document.source, document.bytes) == ("waiting", None, 12)


@pytest.mark.parametrize(
    ("name", "content", "kind", "error"),
    [
        ("empty.txt", b"", "empty", "empty file"),
        (
            "large.txt",
            b"x" * 101,
            "too_large",
            "file must be at most 100 bytes, got 101; raise max_file_bytes to take it",
        ),
        (
            "program.exe",
            b"MZ",
            "unknown_format",
            f"file extension must be one of {' '.join(sorted(EXTENSIONS))}, got .exe",
        ),
    ],
)
def test_a_file_that_cannot_be_used_leaves_a_row_with_the_reason_and_no_bytes(  # noqa: PLR0917 - fixtures and parameters
    session: Session,
    dataset: Dataset,
    tmp_path: Path,
    name: str,
    content: bytes,
    kind: str,
    error: str,
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    document = add(session, dataset, path, max_file_bytes=100)

    assert (document.state, document.error_kind, document.error) == ("error", kind, error)
    assert document.error_at is not None
    assert parts_of(session, document) == 0


def test_a_file_that_vanished_after_it_was_listed_is_stored_as_missing(
    session: Session, dataset: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "gone.txt"

    document = add(session, dataset, path)

    assert document.error == "file does not exist; it may have been moved"
    assert document.name == "gone.txt"


def test_a_directory_named_like_a_file_is_stored_as_no_file(
    session: Session, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "folder.txt").mkdir()

    document = add(session, dataset, tmp_path / "folder.txt")

    assert (document.error_kind, document.error) == ("not_a_file", "is a directory, not a file")


def test_a_named_pipe_is_not_waited_for(session: Session, dataset: Dataset, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")

    document = add(session, dataset, tmp_path / "pipe.txt")

    assert document.error == "is a device, pipe or socket, not a file"


def test_a_link_to_itself_is_a_file_that_cannot_be_read(
    session: Session, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")

    document = add(session, dataset, tmp_path / "loop.txt")

    assert document.error == "file could not be read: Too many levels of symbolic links"


def test_a_file_that_grows_over_the_limit_while_it_is_read_leaves_no_bytes(
    session: Session, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"x" * 2 * PART_BYTES)
    real_execute = session.execute
    with path.open("ab") as writer:

        def grow(*args: object, **kwargs: object) -> object:
            writer.write(b"y" * PART_BYTES)
            writer.flush()
            return real_execute(*args, **kwargs)  # type: ignore[call-overload]  # whatever it was

        monkeypatch.setattr(session, "execute", grow)
        document = add(session, dataset, path, max_file_bytes=2 * PART_BYTES + 1)

    assert (document.state, document.error_kind) == (DocumentState.ERROR, "too_large")
    assert parts_of(session, document) == 0


def test_a_name_that_is_no_utf8_is_stored_readable(
    session: Session, dataset: Dataset, tmp_path: Path
) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    Path(os.fsdecode(path)).write_bytes(b"x")

    document = add(session, dataset, os.fsdecode(path))

    assert (document.name, document.state) == ("caf\ufffd.txt", "waiting")


def test_a_bad_file_does_not_spoil_the_ones_beside_it(
    session: Session, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_bytes(b"")
    (tmp_path / "b.txt").write_bytes(b"good")

    states = [add(session, dataset, tmp_path / name).state for name in ("a.txt", "b.txt")]

    assert states == [DocumentState.ERROR, DocumentState.WAITING]


def test_a_file_that_was_mended_is_taken_in_at_the_next_try(
    session: Session, dataset: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "late.txt"
    document = add(session, dataset, path)
    path.write_bytes(b"here I am")

    read_again(session, document, max_file_bytes=100)

    assert (document.state, document.error, document.bytes) == ("waiting", None, 9)
