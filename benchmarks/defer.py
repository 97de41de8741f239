"""What defer costs: round trips inside an open transaction, and many jobs at once beside pgqueuer."""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import _peers
import psycopg
from _pairs import Quartiles, compare, control
from _report import Report, options, progress
from _server import Server, server
from _side_taskhub import make_hub, prepare
from sqlalchemy import text

METHOD = """\
Round trips are counted on the wire: libpq's own trace of what the client sends, where each Sync or
simple Query waits for the server once. The transaction is open and has run a statement before. Bulk:
100,000 jobs with one small argument each into an empty queue, with the commit, taskhub by one
defer_many, pgqueuer by its bulk enqueue in one transaction in chunks of the best of three sizes, both
from the values in Python. Pairs run A B A B; the bar is on the lower quartile of the ratio within a
pair."""

# One line a message: direction, length, name. The client waits for the server after these two.
WAITS = re.compile(r"^F\t\d+\t(?:Sync|Query)\b", re.MULTILINE)


@contextmanager
def counted(connection: psycopg.Connection[object]) -> Iterator[Callable[[], int]]:
    """Count the round trips of what is done inside."""
    with tempfile.TemporaryFile("w+") as traced:
        connection.pgconn.trace(traced.fileno())
        connection.pgconn.set_trace_flags(psycopg.pq.Trace.SUPPRESS_TIMESTAMPS)

        def count() -> int:
            traced.seek(0)
            return len(WAITS.findall(traced.read()))

        try:
            yield count
        finally:
            connection.pgconn.untrace()


def round_trips(postgres: Server) -> dict[str, int]:
    """Round trips of one defer, by the way in which the transaction was opened."""
    found = {}
    with postgres.database("taskhub", prepare) as url:
        hub = make_hub(url)
        task = hub.tasks["noop"]
        with psycopg.connect(url) as connection:
            connection.execute("SELECT 1")
            with counted(connection) as count:
                task.options(connection=connection).defer(n=1)
                found["psycopg connection"] = count()
        with hub.transaction() as session:
            session.execute(text("SELECT 1"))
            raw = session.connection().connection.driver_connection
            if not isinstance(raw, psycopg.Connection):
                raise TypeError(f"the hub's driver must be psycopg, got {type(raw).__name__}")
            with counted(raw) as count:
                task.defer(n=1)
                found["SQLAlchemy session"] = count()
        hub.close()
    return found


def main() -> None:
    """Count, then run the pairs."""
    asked = options(__doc__ or "", jobs=100_000)
    report = Report("defer", "deferring", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        for way, trips in round_trips(postgres).items():
            report.at_most(f"round trips of defer, {way}", str(trips), trips, 1, unit="")
        ours = _peers.TASKHUB.with_(jobs=asked.jobs)
        rate = partial(ours.enqueue_rate, postgres)
        found = control(rate, asked.pairs)
        report.note("defer_many: jobs/s", str(Quartiles.of(found.first + found.second)))
        report.note("control: the same side twice", str(found.ratio))
        progress("looking for pgqueuer's best chunk")
        sides = [
            _peers.PGQUEUER.with_(
                name=f"pgqueuer, chunks of {chunk:,}",
                jobs=asked.jobs,
                load=("--chunk", str(chunk)),
            )
            for chunk in (1_000, 10_000, 100_000)
        ]
        other = max(sides, key=lambda side: side.enqueue_rate(postgres))
        pairs = compare(other.name, rate, partial(other.enqueue_rate, postgres), asked.pairs)
        report.note(f"{other.name}: jobs/s", str(Quartiles.of(pairs.second)))
        report.at_least("taskhub / pgqueuer", str(pairs.ratio), pairs.ratio.lower, 1.5)
    report.versions |= {n: _peers.version(n) for n in ("pgqueuer", "asyncpg")}
    report.finish(asked)


if __name__ == "__main__":
    main()
