"""The files of a folder, in an order that is the same every time."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Found:
    """A file, or a directory that could not be listed together with the reason."""

    path: Path
    error: str | None = None


def walk(folder: Path) -> Iterator[Found]:
    """Every file below `folder`, sorted by name, its own files before those of its directories.

    Names that begin with a dot are skipped, files and directories alike. A symbolic link is
    followed, a directory that was seen already is not entered again. A path that is no directory
    is the one file found, whether it exists or not.
    """
    if not folder.is_dir():
        yield Found(folder)
        return
    # One level of the tree may be deeper than Python's recursion goes.
    waiting = [folder]
    seen: set[tuple[int, int]] = set()
    while waiting:
        directory = waiting.pop()
        try:
            status = directory.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(directory) as entries:
                shown = sorted((e for e in entries if not e.name.startswith(".")), key=_name)
        except OSError as error:
            yield Found(directory, f"directory could not be listed: {error.strerror}")
            continue
        for entry in shown:
            if not _is_directory(entry):
                yield Found(Path(entry.path))
        waiting.extend(Path(entry.path) for entry in reversed(shown) if _is_directory(entry))


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that points at itself: the file is then reported as unreadable
        return False
