"""Put a dump into a database, in one transaction together with what comes before and after it."""

import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.engine import URL

from taskhub.system.backup import tools
from taskhub.system.backup.contents import Told
from taskhub.system.backup.manifest import Manifest


def load(
    url: URL,
    dump: Path,
    described: Manifest,
    tool: tools.Tools,
    *,
    before: str = "",
    after: str = "",
    told: Told = lambda *_: None,
) -> None:
    """Run the SQL of `before`, the dump and `after` in one transaction of its own: all or nothing.

    So nobody ever sees what was restored without what `after` does to it. Owners and grants of the
    dump are left out: everything belongs to the role that restores.

    Raises:
        ToolFailed: something was refused; nothing was changed.
    """
    done = 0

    def heard(line: str) -> None:
        nonlocal done
        if found := re.search(r'processing data for table "([^"]+)"', line):
            told(f"restoring {found[1]}", done, len(described.tables))
            done += 1

    with tempfile.TemporaryDirectory(prefix="taskhub-restore-") as folder:
        first, last = Path(folder, "before.sql"), Path(folder, "after.sql")
        first.write_text(before, encoding="utf-8")
        last.write_text(after, encoding="utf-8")
        reader = _reader(tool, dump)
        writer = _writer(tool, url, reader, first, last)
        _pump(reader, writer, heard)


def _pump(
    reader: subprocess.Popen[str], writer: subprocess.Popen[str], heard: Callable[[str], None]
) -> None:
    try:
        # pg_restore tells what it reads; psql writes as fast as the pipe between them allows.
        read = tools.follow(reader, heard)
        said = tools.follow(writer, lambda _: None)
    except BaseException:
        for program in (reader, writer):
            program.kill()
            program.wait()
        raise
    reader.wait()  # its pipe broke if psql ended early, which is then the reason to tell
    tools.finish(writer, "psql", said)
    tools.finish(reader, "pg_restore", read)


def _reader(tool: tools.Tools, dump: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - a program of Postgres, no shell
        [
            str(tool.folder / "pg_restore"), "--no-owner", "--no-privileges", "--no-comments",
            "--verbose", "--file=-", str(dump),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def _writer(
    tool: tools.Tools, url: URL, reader: subprocess.Popen[str], first: Path, last: Path
) -> subprocess.Popen[str]:
    assert reader.stdout is not None  # noqa: S101 - it was asked for
    with reader.stdout as script:  # psql has it from then on, and must see its end
        return tool.start(
            "psql",
            url,
            [
                "--no-psqlrc", "--quiet", "--no-password", "--single-transaction",
                "--set=ON_ERROR_STOP=1", f"--file={first}", "--file=-", f"--file={last}",
            ],
            stdin=script,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip
