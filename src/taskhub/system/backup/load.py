"""Put a dump into a database, in one transaction together with what comes before and after it."""

import re
import subprocess
import tempfile
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
    with tempfile.TemporaryDirectory(prefix="taskhub-restore-") as folder:
        first, last = Path(folder, "before.sql"), Path(folder, "after.sql")
        first.write_text(before, encoding="utf-8")
        last.write_text(after, encoding="utf-8")
        done = 0

        def heard(line: str) -> None:
            nonlocal done
            if found := re.search(r'processing data for table "([^"]+)"', line):
                told(f"restoring {found[1]}", done, len(described.tables))
                done += 1

        reader = _reader(tool, dump)
        writer = tool.start(
            "psql",
            url,
            [
                "--no-psqlrc", "--quiet", "--no-password", "--single-transaction",
                "--set=ON_ERROR_STOP=1", f"--file={first}", "--file=-", f"--file={last}",
            ],
            stdin=reader.stdout,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert reader.stdout is not None  # noqa: S101 - it was asked for
        reader.stdout.close()  # psql has it, and must see its end
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
