"""A real terminal in which a command runs, as a person sees it."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

from tests import waiting
from tests.cli.in_turn import ENDED

RUNNER = str(Path(__file__).with_name("in_turn.py"))
PATIENCE_SECONDS = 60.0


class Terminal:
    """A process whose stdin, stdout and stderr are one terminal."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        folder: Path,
        *,
        columns: int = 0,
        program: tuple[str, ...] = ("-m", "taskhub"),
        **variables: str,
    ) -> None:
        self._end, other = pty.openpty()
        if columns:
            self.resize(24, columns)
        kept = {
            k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
        }
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=folder,
            env=kept | {"TERM": "xterm-256color"} | variables,
            stdin=other, stdout=other, stderr=other,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - one system call, which takes no lock
        )  # fmt: skip
        os.close(other)
        self.shown = ""

    def shows(self, text: str) -> None:
        """Read until the text is on the screen."""
        waiting.until(lambda: text in self._read(), f"showing {text}", seconds=PATIENCE_SECONDS)

    def types(self, keys: bytes) -> None:
        os.write(self._end, keys)

    def resize(self, lines: int, columns: int) -> None:
        """Make the window so large; the process is told by the signal for it."""
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, size)

    def ends(self) -> int:
        """The exit code; what it showed until then is read."""
        waiting.until(
            lambda: self._read() is not None and self.process.poll() is not None,
            "the end",
            seconds=PATIENCE_SECONDS,
        )
        self._read()
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._end)

    def _read(self) -> str:
        while select.select([self._end], [], [], 0.01)[0]:
            try:
                data = os.read(self._end, 4096)
            except OSError:  # what Linux says when the other end is closed
                break
            if not data:
                break
            self.shown += data.decode(errors="replace")
        return self.shown


def in_turn(
    terminal: Callable[..., Terminal], *verbs: tuple[str, ...], columns: int = 0, **variables: str
) -> dict[tuple[str, ...], tuple[int, str]]:
    """The code of each verb and what it showed, all in one process: most of a short one is its start."""
    seen = terminal(json.dumps(verbs), program=(RUNNER,), columns=columns, **variables)
    assert seen.ends() == 0, seen.shown
    *told, rest = re.split(rf"{ENDED} (\d+)\r\n", seen.shown)
    assert (rest, len(told)) == ("", 2 * len(verbs)), seen.shown
    return dict(zip(verbs, zip(map(int, told[1::2]), told[::2], strict=True), strict=True))


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
