"""pg_dump, pg_restore and psql of a version that fits the server, and how they are called."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from taskhub import db, embedded

# Debian and its like keep each major version's programs in a folder of their own.
VERSIONED = Path("/usr/lib/postgresql")
NAMES = ("pg_dump", "pg_restore", "psql")


class NoTools(RuntimeError):
    """No pg_dump that fits the server was found; the message says what to install."""


class ToolFailed(RuntimeError):
    """One of Postgres's programs ended with an error; the message is its own."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Postgres's programs of one major version."""

    folder: Path
    major: int

    def start(
        self, name: str, url: URL, arguments: Sequence[str], **options: object
    ) -> subprocess.Popen[str]:
        """The program, running against a database; its password is never on a command line."""
        address = db.conninfo(db.without_password(url))
        environment = {
            **os.environ,
            "PGTZ": "UTC",
            "LC_MESSAGES": "C",
            "PGAPPNAME": f"taskhub {name}",
        }
        if url.password:
            environment["PGPASSWORD"] = str(url.password)
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # noqa: S603 - a program of Postgres, no shell
            [str(self.folder / name), *arguments, "--dbname", address],
            env=environment,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            text=True,
            **options,
        )


def find(server_version: int) -> Tools:
    """The programs whose major version is the server's, or the next one above it.

    `server_version` is the server's own number: 150019 is 15.19. An older pg_dump refuses a newer
    server; a much newer one writes settings that an older server does not know.

    Raises:
        NoTools: there are none, or only older ones.
    """
    wanted = server_version // 10000
    found = {tools.major: tools for tools in _candidates()}
    fitting = [major for major in sorted(found) if major >= wanted]
    if fitting:
        return found[fitting[0]]
    have = f"only of version {', '.join(map(str, sorted(found)))}" if found else "none"
    raise NoTools(
        f"pg_dump must be of version {wanted} or newer to read this server, found {have}; "
        f"install postgresql-client-{wanted}, or pip install 'taskhub[embedded]' for version 18"
    )


def finish(program: subprocess.Popen[str], name: str, said: Sequence[str]) -> None:
    """Wait for its end.

    Raises:
        ToolFailed: it did not end well.
    """
    if program.wait() != 0:
        errors = [line for line in said if re.search(r"error|fatal|could not", line, re.IGNORECASE)]
        told = " ".join((errors or list(said))[:3]) or f"exit code {program.returncode}"
        raise ToolFailed(f"{name} failed: {told}")


def follow(program: subprocess.Popen[str], heard: Callable[[str], None]) -> list[str]:
    """Every line of the program's stderr, as it comes; the last 200 of them."""
    lines: list[str] = []
    assert program.stderr is not None  # noqa: S101 - it was asked for
    with program.stderr as stream:
        for line in stream:
            heard(line.rstrip())
            lines.append(line.rstrip())
            del lines[:-200]
    return lines


def _candidates() -> Iterator[Tools]:
    folders = sorted(VERSIONED.glob("*/bin")) if VERSIONED.is_dir() else []
    if (in_path := shutil.which("pg_dump")) is not None:
        folders.append(Path(in_path).parent)
    with contextlib.suppress(embedded.NoEmbeddedPostgres):
        folders.append(embedded.bin_dir())
    for folder in folders:
        if all((folder / name).exists() for name in NAMES) and (major := _major(folder)):
            yield Tools(folder, major)


def _major(folder: Path) -> int | None:
    shown = subprocess.run(  # noqa: S603 - a program of Postgres, no shell
        [str(folder / "pg_dump"), "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"\) (\d+)", shown.stdout)
    return int(found[1]) if found else None
