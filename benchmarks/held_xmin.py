"""Whether two million jobs run evenly to their end, also while old rows cannot be swept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import _peers
import psycopg
from _report import Report, options, progress
from _server import Server, server
from _sides import Worker

METHOD = """\
2,000,000 no-op async jobs are loaded, then drained by one worker process, which counts the jobs that
end in each second. The first and the last minute (a third of a shorter run) are compared within a run,
the first two seconds and the last one left out. The runs are free, with a reader (another session holds
a REPEATABLE READ snapshot from before the first claim), free again, and with a writer (another session
has a transaction open that has written a row). Each held run is compared with the mean of the free
ones; the two free ones are the control."""

HOLDERS = {
    "reader": ("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM bench_held"),
    "writer": ("BEGIN", "INSERT INTO bench_held VALUES (1)"),
}


@dataclass(frozen=True, slots=True)
class Run:
    """Jobs that ended in each second of a run, its ramp and its tail cut off."""

    seconds: Sequence[int]

    @property
    def rate(self) -> float:
        """Jobs per second over all of it."""
        return sum(self.seconds) / len(self.seconds)

    @property
    def last_over_first(self) -> float:
        """The rate of the last minute over that of the first one."""
        width = max(min(60, len(self.seconds) // 3), 1)
        return sum(self.seconds[-width:]) / max(sum(self.seconds[:width]), 1)


@contextmanager
def holding(url: str, holder: str | None) -> Iterator[None]:
    """Keep what the server must not sweep, in a session that does nothing more."""
    if holder is None:
        yield
        return
    with psycopg.connect(url, autocommit=True) as session:
        for statement in HOLDERS[holder]:
            session.execute(statement.encode())
        yield
        session.execute("ROLLBACK")


def run(postgres: Server, jobs: int, concurrency: int, holder: str | None) -> Run:
    """Load, hold, drain."""
    what = holder or "free"
    side = _peers.taskhub(jobs, concurrency=concurrency)
    with postgres.database("taskhub", lambda url: side.call("prepare", url)) as url:
        progress(f"{what}: loading {jobs:,} jobs")
        side.call("load", url, str(jobs), *side.load)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE bench_held (n integer)")
        postgres.settle(url)
        progress(f"{what}: draining")
        with holding(url, holder):
            worker = Worker(side.start("work", url, *side.work, "--series"))
            try:
                worker.wait_ready()
                worker.go()
                told = worker.result()
            finally:
                worker.end()
    if told["done"] != jobs:
        raise RuntimeError(f"{jobs} jobs were loaded, {told['done']} were done")
    # A short run must keep something; a full one loses 3 seconds of some 140.
    series = told["series"][2:-1] or told["series"]
    found = Run(series)
    progress(f"{what}: {found.rate:,.0f} jobs/s, last over first {found.last_over_first:.2f}")
    return found


def main() -> None:
    """Four runs."""
    asked = options(__doc__ or "", jobs=2_000_000, pairs=1, concurrency=200)
    report = Report("held_xmin", "two million jobs, free and under a held xmin", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        order = (None, "reader", None, "writer")
        runs = [(holder, run(postgres, asked.jobs, asked.concurrency, holder)) for holder in order]
    free = [found for holder, found in runs if holder is None]
    report.note("control: free / free", f"{free[0].rate / free[1].rate:.2f}")
    mean = sum(found.rate for found in free) / len(free)
    for n, (holder, found) in enumerate(runs, 1):
        what = f"run {n}, {holder or 'free'}"
        report.note(f"{what}: jobs/s", f"{found.rate:,.0f}")
        kept = found.last_over_first
        report.at_least(f"{what}: last minute / first", f"{kept:.2f}", kept, 0.8)
        if holder is not None:
            ratio = found.rate / mean
            report.at_least(f"{what}: held / free", f"{ratio:.2f}", ratio, 0.8)
    report.finish(asked)


if __name__ == "__main__":
    main()
