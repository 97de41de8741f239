"""How fast mails leave the outbox, beside a bare loop of the same SMTP library on one connection."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata

from _pairs import Quartiles, compare, control
from _report import Report, options
from _server import Server, server
from _sides import HERE, Side, SideFailed, Worker

METHOD = """\
Mails of one kind to different people, through an SMTP server in a process of its own that takes
everything and counts Message-IDs. taskhub's worker claims the jobs from Postgres, writes each mail from
its template, notes in the outbox that it is being sent, sends it, notes that it was sent, and stores the
outcome with its history. The bare loop builds each message around one ready text and HTML part and hands
it to aiosmtplib, on one connection, and keeps nothing. Both clocks run from the start of work to its
end; mails were posted before. Pairs run A B A B; the bar is on the lower quartile of the ratio within a
pair. Every run must have delivered each mail exactly once."""


class Sink:
    """The server and what it has seen."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port: int = self._line()["port"]

    def seen(self) -> dict[str, int]:
        """What arrived; the server ends by that."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, int]:
        assert self._process.stdout is not None  # noqa: S101 - as above
        told: dict[str, int] = json.loads(self._process.stdout.readline())
        return told


@contextmanager
def sink() -> Iterator[Sink]:
    """A server for one run."""
    process = subprocess.Popen(  # noqa: S603 - a script of this folder
        [sys.executable, str(HERE / "_sink.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            yield Sink(process)
        finally:
            process.terminate()


def rate(mails: int, concurrency: int, postgres: Server) -> float:
    """Mails per second, from the outbox and back."""
    side = Side(name="taskhub, mail", script="mail", jobs=mails)
    with postgres.database("mail", lambda url: side.call("prepare", url)) as url, sink() as to:
        side.call("load", url, str(mails))
        postgres.settle(url)
        worker = Worker(side.start("work", url, str(to.port), str(concurrency)))
        return _rate(worker, mails, to)


def bare_rate(mails: int) -> float:
    """Mails per second in a loop."""
    side = Side(name="aiosmtplib", script="mail", jobs=mails)
    with sink() as to:
        return _rate(Worker(side.start("bare", str(to.port), str(mails))), mails, to)


def _rate(worker: Worker, mails: int, to: Sink) -> float:
    try:
        worker.wait_ready()
        worker.go()
        told = worker.result()
    finally:
        worker.end()
    seen = to.seen()
    if (told["done"], seen["mails"], seen["distinct"]) != (mails, mails, mails):
        raise SideFailed(f"{mails} mails, {told['done']} done, {seen} arrived")
    seconds: float = told["seconds"]
    return mails / seconds


def main() -> None:
    """Run the pairs."""
    asked = options(__doc__ or "", jobs=10_000, concurrency=2)
    report = Report("mail", "mails through an SMTP server", METHOD)
    report.versions["aiosmtplib"] = metadata.version("aiosmtplib")
    with server() as postgres:
        report.server = postgres.described()
        ours = partial(rate, asked.jobs, asked.concurrency, postgres)
        found = control(ours, asked.pairs)
        report.note("taskhub: mails/s", str(Quartiles.of(found.first + found.second)))
        report.note("control: the same side twice", str(found.ratio))
        pairs = compare("aiosmtplib alone", ours, partial(bare_rate, asked.jobs), asked.pairs)
        report.note("aiosmtplib alone, one connection: mails/s", str(Quartiles.of(pairs.second)))
        ratio = pairs.ratio
        report.at_least("taskhub / aiosmtplib alone", str(ratio), ratio.lower, 0.8)
        report.holds("each mail arrived exactly once", "in every run", "every run", met=True)
    report.finish(asked)


if __name__ == "__main__":
    main()
