"""Sides: programs that lay out a database, load it with jobs, and work them off when told to.

Each runs in processes of its own, so that neither warms nor slows the other. A worker says "ready"
when its interpreter has started and its imports are done, and begins at a line on its stdin; the clock
is the machine's monotonic one, which all processes share.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from _server import Server

HERE = Path(__file__).parent
# Those that run in the interpreter of this process; the others have a venv of their own.
OURS = ("taskhub", "latency", "null", "bare", "process", "mail")
PEERS = HERE.parent / ".venv-bench" / "bin" / "python"


class SideFailed(RuntimeError):
    """A side's process ended with an error, or left jobs behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One way to run no-op jobs.

    Attributes:
        name: as the table says it.
        script: the file beside this one that knows the verbs prepare, load and work.
        jobs: how many are loaded and worked off.
        load: arguments of `load`, beside the database and the number.
        work: arguments of `work`.
        left: SQL that counts the jobs that are not done, with {jobs} for their number, or None where
            no Postgres holds them.
        processes: how many workers share the jobs.
        tree: the root of other sources of ours, in place of these.
    """

    name: str
    script: str
    jobs: int
    load: tuple[str, ...] = ()
    work: tuple[str, ...] = ()
    left: str | None = None
    processes: int = 1
    tree: Path | None = None

    @property
    def kind(self) -> str:
        """Whose database it needs: each tree lays out its own."""
        return f"{self.script}_{self.tree.name}" if self.tree is not None else self.script

    def rate(self, server: Server) -> float:
        """Jobs per second from the start of work to the last outcome stored."""
        with server.database(self.kind, lambda url: self.call("prepare", url)) as url:
            self.call("load", url, str(self.jobs), *self.load)
            server.settle(url)
            seconds, done = self._drain(url)
            self._check(url)
        return done / seconds

    def enqueue_rate(self, server: Server) -> float:
        """Jobs stored per second by its bulk call, with the commit, into an empty queue."""
        with server.database(self.kind, lambda url: self.call("prepare", url)) as url:
            server.settle(url)
            worker = Worker(self.start("enqueue", url, str(self.jobs), *self.load))
            try:
                worker.wait_ready()
                worker.go()
                seconds: float = worker.result()["seconds"]
            finally:
                worker.end()
        return self.jobs / seconds

    def call(self, verb: str, *arguments: str) -> None:
        """Run a verb to its end."""
        with self.start(verb, *arguments) as process:
            try:
                process.communicate()
            except BaseException:
                process.terminate()
                raise
        if process.returncode != 0:
            raise SideFailed(f"{self.name}: {verb} ended with {process.returncode}")

    def start(self, verb: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a verb; its stderr is ours."""
        python = sys.executable if self.script in OURS else str(PEERS)
        here = self.tree / HERE.name if self.tree is not None else HERE
        return subprocess.Popen(  # noqa: S603 - a script of this folder
            [python, str(here / f"_side_{self.script}.py"), verb, *arguments],
            env={**os.environ, "PYTHONPATH": str(here.parent / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def with_(self, **changes: Any) -> "Side":
        """The same side with something else in one place."""
        return replace(self, **changes)

    def _drain(self, url: str) -> tuple[float, int]:
        workers: list[Worker] = []
        try:
            for _ in range(self.processes):
                workers += [Worker(self.start("work", url, *self.work))]
            for worker in workers:
                worker.wait_ready()
            began = time.monotonic()
            for worker in workers:
                worker.go()
            told = [worker.result() for worker in workers]
        finally:
            for worker in workers:
                worker.end()
        done = sum(one.get("done", 0) for one in told) or self.jobs
        return max(one["ended"] for one in told) - began, done

    def _check(self, url: str) -> None:
        if self.left is None:
            return
        with psycopg.connect(url) as connection:
            row = connection.execute(self.left.format(jobs=self.jobs).encode()).fetchone()
        if row is None or row[0] != 0:
            raise SideFailed(f"{self.name}: {row and row[0]} jobs were not done")


class Worker:
    """The other end of a `work` process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdin is not None  # noqa: S101 - for the type checker: Popen was told PIPE
        assert process.stdout is not None  # noqa: S101 - as above
        self._stdin, self._stdout = process.stdin, process.stdout

    def wait_ready(self) -> None:
        """Until it has nothing left to do but the work."""
        if self._stdout.readline().strip() != "ready":
            raise SideFailed(f"worker ended with {self.process.wait()} before it was ready")

    def go(self) -> None:
        """Let it work."""
        self._stdin.write("go\n")
        self._stdin.flush()

    def result(self) -> dict[str, Any]:
        """What it says when it is done: at least `ended`, on the monotonic clock."""
        line = self._stdout.readline()
        if not line:
            raise SideFailed(f"worker ended with {self.process.wait()} before it was done")
        said: dict[str, Any] = json.loads(line)
        self.process.wait()
        return said

    def end(self) -> None:
        """Make sure that the process is gone."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._stdin.close()
        self._stdout.close()


def best(server: Server, sides: Sequence[Side], rounds: int = 2) -> Side:
    """The fastest of several settings of a side, by its better run of two, taken in turns."""
    rates: dict[Side, float] = {}
    for _ in range(rounds):
        for side in sides:
            rates[side] = max(rates.get(side, 0.0), side.rate(server))
    return max(sides, key=lambda side: rates[side])
