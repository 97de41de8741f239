"""What fifty open dashboards cost the jobs that run meanwhile, and the database in connections."""

import asyncio
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import _peers
import psycopg
from _pairs import Quartiles, compare, control
from _report import Report, options
from _server import Server, server
from _sides import Side

METHOD = """\
One worker process drains no-op async jobs; beside it, in every second run, one `taskhub dashboard` with
open pages: each holds its stream, and asks for the live part of the overview anew whenever the stream
says that something changed, over a connection of its own, as a browser does. The pages are sockets of
this program; their work is counted against the drain too. Connections are those of the dashboard's
process, looked at ten times a second. Pairs run A B A B; the bar is on the lower quartile of the ratio.
Then, without a drain, one page beside the others waits for --changes changes of one job each, with
pauses from nothing to 1.5 s between them: the time from the commit to the event, and until the page has
its new live part."""

LOOK_SECONDS = 0.1
# Changes come after pauses of all lengths up to this: what follows at once is held back for a moment.
MOST_PAUSE_SECONDS = 1.5
CHANGE = "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name) VALUES ('told', 'told')"


@dataclass(slots=True)
class Seen:
    """What the pages saw: streams that spoke, live parts that came, connections at most."""

    told: int = 0
    drawn: int = 0
    connections: int = 0
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Side):
    """The same drain with open dashboards."""

    pages: int
    seen: Seen = field(default_factory=Seen, hash=False, compare=False)

    def rate(self, server: Server) -> float:
        """Jobs per second, as without them."""
        with server.database(self.kind, lambda url: self.call("prepare", url)) as url:
            self.call("load", url, str(self.jobs), *self.load)
            server.settle(url)
            with dashboard(url) as port, looking_on(port, url, self.pages, self.seen):
                seconds, done = self._drain(url)
            self._check(url)
        return done / seconds


@contextmanager
def dashboard(url: str) -> Iterator[int]:
    """A dashboard process on a port of its own."""
    command = [sys.executable, "-m", "taskhub", "dashboard", "--port", "0", "--database-url", url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 - this project
        assert process.stderr is not None  # noqa: S101 - a pipe
        try:
            for line in process.stderr:
                if found := re.search(r"dashboard: (\S+)", line):
                    yield urlsplit(found[1]).port or 0
                    return
            raise SystemExit("the dashboard did not start")
        finally:
            process.terminate()


@contextmanager
def looking_on(port: int, url: str, pages: int, seen: Seen) -> Iterator[None]:
    """Open the pages in a thread, and keep them open meanwhile."""
    seen.stop.clear()
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_open(port, url, pages, seen, ready)))
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        seen.stop.set()
        thread.join()


async def _open(port: int, url: str, pages: int, seen: Seen, ready: threading.Event) -> None:
    opened = [asyncio.create_task(_page(port, seen)) for _ in range(pages)]
    watch = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'taskhub dashboard'"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while not seen.stop.is_set():
            row = await (await connection.execute(watch)).fetchone()
            seen.connections = max(seen.connections, row[0] if row else 0)
            if seen.told >= pages:
                ready.set()
            await asyncio.sleep(LOOK_SECONDS)
    for page in opened:
        page.cancel()
    await asyncio.gather(*opened, return_exceptions=True)


async def _page(port: int, seen: Seen) -> None:
    stream, asking = await asyncio.open_connection("127.0.0.1", port)
    asking.write(_request("/events"))
    answers, questions = await asyncio.open_connection("127.0.0.1", port)
    try:
        while line := await stream.readline():
            if line.strip() not in (b"event: hello", b"event: changed"):
                continue
            seen.told += 1
            questions.write(_request("/"))
            head = await answers.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            await answers.readexactly(int(length[1]) if length else 0)
            seen.drawn += head.startswith(b"HTTP/1.1 200")
    finally:
        asking.close()
        questions.close()


def delays(port: int, url: str, changes: int) -> tuple[list[float], list[float]]:
    """Seconds from the commit of each change to the event, and to the new part."""
    return asyncio.run(_delays(port, url, changes))


async def _delays(port: int, url: str, changes: int) -> tuple[list[float], list[float]]:
    told, drawn = [], []
    stream, asking = await asyncio.open_connection("127.0.0.1", port)
    asking.write(_request("/events"))
    answers, questions = await asyncio.open_connection("127.0.0.1", port)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await _next(stream, b"event: hello")
        for n in range(changes):
            # What the page hears of by itself, the changes of the fleet's upkeep, is over by then.
            await asyncio.sleep(MOST_PAUSE_SECONDS * n / changes)
            await connection.execute(CHANGE)
            began = time.perf_counter()
            await _next(stream, b"event: changed")
            told.append(time.perf_counter() - began)
            questions.write(_request("/"))
            head = await answers.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            await answers.readexactly(int(length[1]) if length else 0)
            drawn.append(time.perf_counter() - began)
    asking.close()
    questions.close()
    return told, drawn


async def _next(stream: asyncio.StreamReader, event: bytes) -> None:
    while (line := await stream.readline()).strip() != event:
        if not line:
            raise SystemExit("the dashboard closed a stream")


def _request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nHX-Request: true\r\n\r\n".encode()


def judge_delays(report: Report, postgres: Server, side: Watched, changes: int) -> None:
    """How soon open pages show a change while nothing else happens."""
    with (
        postgres.database(side.kind, lambda url: side.call("prepare", url)) as url,
        dashboard(url) as port,
        looking_on(port, url, side.pages, Seen()),
    ):
        told, drawn = delays(port, url, changes)
    for what, seconds in (("told", told), ("drawn anew", drawn)):
        p95 = sorted(seconds)[round(0.95 * len(seconds)) - 1]
        report.at_most(f"a change is {what} after, p95", f"{p95:.2f} s", p95, 1.0, " s")


def main() -> None:
    """Run the pairs."""
    asked = options(__doc__ or "", jobs=100_000, concurrency=50, pages=50, changes=100)
    report = Report("dashboards", f"{asked.pages} open dashboards beside a drain", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        alone = _peers.taskhub(asked.jobs, concurrency=asked.concurrency)
        found = control(partial(alone.rate, postgres), asked.pairs)
        report.note("control: the same side twice", str(found.ratio))
        watched = Watched(
            name=f"with {asked.pages} dashboards", script=alone.script, jobs=alone.jobs,
            load=alone.load, work=alone.work, left=alone.left, pages=asked.pages,
        )  # fmt: skip
        rates = partial(watched.rate, postgres), partial(alone.rate, postgres)
        pairs = compare(watched.name, *rates, asked.pairs)
        report.note("alone: jobs/s", str(Quartiles.of(pairs.second)))
        report.note(f"{watched.name}: jobs/s", str(Quartiles.of(pairs.first)))
        report.at_least(f"{watched.name} / alone", str(pairs.ratio), pairs.ratio.lower, 0.8)
        seen = watched.seen
        report.note("live parts drawn, of changes told", f"{seen.drawn:,} of {seen.told:,}")
        most = seen.connections
        report.at_most("connections of the dashboard, at most", str(most), most, 1, unit="")
        judge_delays(report, postgres, watched, asked.changes)
    report.finish(asked)


if __name__ == "__main__":
    main()
