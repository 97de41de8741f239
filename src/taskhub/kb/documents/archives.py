"""The archives that Office files and books are, opened without trusting anything they say."""

import io
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, BinaryIO, Protocol, cast
from xml.parsers import expat

from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.limits import Limits, over

READ_BYTES = 1 << 16
SMALL_BYTES = 1 << 24  # no ratio is hostile below this
_ENTRY_MARK = b"PK\x01\x02"
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
_MEMORY_BYTES = 1 << 22
# libxml2 refuses deeper trees as well, with a message about its own options.
MAX_DEPTH = 250
# Markup that a library will parse; anything else is a picture, a font, or an embedded file.
_MARKUP = (".xml", ".rels", ".vml")


class Watcher(Protocol):
    """Who looks at the markup of a part while it is checked."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element is over."""

    def text(self, text: str) -> None:
        """A bit of the text between two marks."""


@contextmanager
def opened(file: BinaryIO, limits: Limits, what: str) -> Iterator[zipfile.ZipFile]:
    """The archive, if its own listing stays within the limits.

    Raises:
        BadDocument: it is damaged, encrypted, over a limit, or names files outside of itself.
    """
    # zipfile holds the whole listing in memory, 0.5 KB an entry, before it can be asked how long
    # it is; what it takes for an entry begins with this mark, so there cannot be more.
    limits.check("max_archive_entries", _count(file, _ENTRY_MARK), "files in the archive")
    try:
        with zipfile.ZipFile(file) as archive:
            _check(archive, limits)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        file.seek(0)
        if file.read(4) == _OLD_OFFICE:
            raise BadDocument(
                Problem.ENCRYPTED,
                f"encrypted {what}, or one of an Office before 2007; save it as {what} without a password",
            ) from error
        raise BadDocument(Problem.DAMAGED, f"damaged {what} file: {error}") from error


@contextmanager
def package(
    file: BinaryIO, limits: Limits, what: str, watch: Callable[[], Watcher] | None = None
) -> Iterator[BinaryIO]:
    """The Office file again, as the checked markup alone.

    A library that opens the copy sees exactly the bytes that were checked: no entry can be longer
    than it says, be there twice, or hide an entity. Pictures and embedded files are left empty,
    which keeps them out of memory. The copy is on disk when it is above 4 MiB.
    """
    with (
        opened(file, limits, what) as archive,
        tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as copy,
    ):
        with zipfile.ZipFile(copy, "w") as checked:
            for name, entry in {entry.filename: entry for entry in archive.infolist()}.items():
                with checked.open(name, "w") as to:
                    if name.lower().endswith(_MARKUP) and not entry.is_dir():
                        watcher = watch() if watch is not None else None
                        with archive.open(entry) as part:
                            _copy(part, to, Markup(limits, f"{what} file", watcher))
        copy.seek(0)
        yield cast(BinaryIO, copy)


class Markup:
    """A streaming look at XML, before a library builds a tree of it."""

    def __init__(self, limits: Limits, what: str, watcher: Watcher | None = None) -> None:
        self._limits = limits
        self._what = what
        self._watcher = watcher
        self._elements = self._depth = 0
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.EntityDeclHandler = self._entity
        if watcher is not None:
            self._parser.CharacterDataHandler = watcher.text

    def feed(self, content: bytes, *, final: bool = False) -> None:
        """Look at the next bytes.

        Raises:
            BadDocument: entities, too many elements, too deep, or no XML.
        """
        try:
            self._parser.Parse(content, final)
        except expat.ExpatError as error:
            raise BadDocument(Problem.DAMAGED, f"damaged {self._what}: {error}") from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._watcher is None:  # else its own counting is finer, and no tree will be made
            self._elements += 1
            if self._elements > self._limits.max_elements:
                self._limits.check("max_elements", self._elements, "elements of one part")
        if self._depth > MAX_DEPTH:
            raise over(f"markup must be at most {MAX_DEPTH} elements deep")
        if self._watcher is not None:
            self._watcher.start(name.rpartition(":")[2], attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._watcher is not None:
            self._watcher.end(name.rpartition(":")[2])

    def _entity(self, name: str, *_: object) -> None:
        raise over(f"markup must declare no entities, got &{name[:40]};")


def _copy(part: IO[bytes], to: IO[bytes], markup: Markup) -> None:
    while content := part.read(READ_BYTES):
        markup.feed(content)
        to.write(content)
    markup.feed(b"", final=True)


def _count(file: BinaryIO, mark: bytes) -> int:
    file.seek(0)
    found, tail = 0, b""
    while chunk := file.read(1 << 20):
        found += (tail + chunk).count(mark)
        tail = chunk[-len(mark) + 1 :]
    file.seek(0)
    return found


def _check(archive: zipfile.ZipFile, limits: Limits) -> None:
    entries = archive.infolist()
    limits.check("max_archive_entries", len(entries), "files in the archive")
    for entry in entries:
        inside = PurePosixPath(entry.filename.replace("\\", "/"))
        # Nothing is ever written under these names; a file that has them means harm all the same.
        if inside.is_absolute() or ".." in inside.parts or ":" in entry.filename[:2]:
            raise over(f"files in the archive must stay inside it, got {entry.filename[:80]!r}")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise over(f"files in the archive must not be links, got {entry.filename[:80]!r}")
        if entry.flag_bits & 1:
            raise BadDocument(
                Problem.ENCRYPTED, "encrypted archive; save a copy without a password"
            )
        # lzma takes as much memory as the file asks for.
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError(f"compression method {entry.compress_type}")
    total = sum(entry.file_size for entry in entries)
    limits.check("max_uncompressed_bytes", total, "bytes of the unpacked archive")
    packed = max(1, sum(entry.compress_size for entry in entries))
    if total > SMALL_BYTES:
        limits.check("max_compression_ratio", total // packed, "compression ratio of the archive")


def part(archive: zipfile.ZipFile, name: str, what: str) -> bytes:
    """One file of the archive.

    Raises:
        BadDocument: there is none of this name.
    """
    try:
        return archive.read(name)
    except KeyError:
        raise BadDocument(Problem.DAMAGED, f"damaged {what} file: it lacks {name[:80]!r}") from None


def markup_part(archive: zipfile.ZipFile, name: str, what: str, limits: Limits) -> bytes:
    """One file of the archive, checked as XML."""
    content = part(archive, name, what)
    _copy(io.BytesIO(content), io.BytesIO(), Markup(limits, f"{what} file"))
    return content
