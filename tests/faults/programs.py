"""Programs in processes of their own, which the tests pause, kill and listen to."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.waiting import until

HERE = Path(__file__).parent


class Program:
    """A program that says on its stdout where it stands; its logs go to a file."""

    def __init__(
        self,
        script: str,
        *arguments: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self.heard: list[str] = []
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-u", str(HERE / script), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **(environment or {})},
                text=True,
            )
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.heard.append(line.strip())

    def hears(self, line: str, *, seconds: float = 60.0) -> None:
        """Wait until it has said this."""
        self._until(lambda: line in self.heard, f"saying {line!r}", seconds)

    def logs(self, text: str, *, seconds: float = 60.0) -> None:
        """Wait until its log has this."""
        self._until(lambda: text in self.logged, f"logging {text!r}", seconds)

    def _until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        def happened_or_dead() -> bool:
            return condition() or not self.lives

        until(happened_or_dead, what, seconds=seconds)
        self._ear.join(timeout=0 if self.lives else 5)
        assert condition(), f"{what} did not happen: the program ended"

    @property
    def logged(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def pause(self) -> None:
        """SIGSTOP; on return it stands still."""
        self.process.send_signal(signal.SIGSTOP)
        until(lambda: self._state == "T", "standing still")

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory is short."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """SIGTERM: the drain begins."""
        self.process.terminate()

    def ends(self, *, seconds: float = 60.0) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(timeout=seconds)

    def clean_up(self) -> None:
        """End it, whatever its state."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self._ear.join(timeout=10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def _state(self) -> str:
        shown = subprocess.run(
            ["ps", "-o", "state=", "-p", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=True,
        )
        return shown.stdout.strip()[:1]


def installed(program: str, package: str) -> str:
    """The path of a tool that Debian packages; a test that needs it fails where it is missing."""
    # Debian keeps servers in directories that are not on everybody's path.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    found = shutil.which(program, path=path)
    if found is None:
        raise AssertionError(f"{program} is not installed; run `apt install {package}`")
    return found
