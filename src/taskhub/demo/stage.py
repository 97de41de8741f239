"""What the demo plays on: the database, a worker in a process of its own, waiting with an eye on it."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from taskhub.demo.screen import Screen
from taskhub.queue import Hub, Job, Status
from taskhub.queue.results import FINAL

PATIENCE_SECONDS = 600.0


class DemoBroken(RuntimeError):
    """Something did not happen that the demo is there to show."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything the chapters share."""

    hub: Hub
    screen: Screen
    worker: "subprocess.Popen[bytes]"
    log: Path

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition` holds, looking at the worker too.

        Raises:
            DemoBroken: the worker ended, or it took ten minutes.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if self.worker.poll() is not None:
                raise DemoBroken(f"the worker ended with {self.worker.returncode}:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise DemoBroken(
                    f"{what} took over {PATIENCE_SECONDS:.0f} seconds:\n{self._tail()}"
                )
            time.sleep(0.1)

    def finish(self, job: Job[object]) -> Status:
        """The state in which a job ends."""
        self.until(lambda: job.status() in FINAL, f"job {job.id}")
        return job.status()

    def run(self, *arguments: str) -> None:
        """Run a `taskhub` command as a person would, and show what it prints."""
        self.screen.line(f"  $ taskhub {' '.join(arguments)}")
        done = subprocess.run(  # noqa: S603 - this program, with words of our own
            _taskhub(*arguments),
            env=environment(self.hub),
            capture_output=True,
            text=True,
            check=False,
        )
        for line in (done.stdout + done.stderr).splitlines():
            self.screen.line(f"    {line}")
        if done.returncode != 0:
            raise DemoBroken(f"taskhub {arguments[0]} ended with {done.returncode}")

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


@contextmanager
def open_stage(hub: Hub, screen: Screen, *, smtp_port: int) -> Iterator[Stage]:
    """A worker for `hub`'s database, whose mails go to `smtp_port`; stopped at the end."""
    mail = {
        "TASKHUB_MAIL_SENDER": "smtp",
        "TASKHUB_SMTP_HOST": "127.0.0.1",
        "TASKHUB_SMTP_PORT": str(smtp_port),
        "TASKHUB_SMTP_SECURITY": "plain",
    }
    with tempfile.TemporaryDirectory(prefix="taskhub-demo-") as folder:
        log = Path(folder) / "worker.log"
        with log.open("wb") as output:
            worker = subprocess.Popen(  # noqa: S603 - as above
                _taskhub("worker", "--name", "demo", "--concurrency", "4"),
                env=environment(hub) | mail,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            yield Stage(hub, screen, worker, log)
        finally:
            worker.terminate()
            try:
                worker.wait(timeout=30)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def environment(hub: Hub) -> dict[str, str]:
    """The environment of a command that works on the hub's database."""
    url = hub.url.render_as_string(hide_password=False)
    return os.environ | {"TASKHUB_DATABASE_URL": url.replace("postgresql+psycopg:", "postgresql:")}


def _taskhub(*arguments: str) -> list[str]:
    # Where a project names an app of its own, too.
    return [sys.executable, "-m", "taskhub", *arguments, "--app", "taskhub.app:hub"]
