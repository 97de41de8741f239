"""What a worker with nothing to do costs the server and the processor."""

import os
import time
from pathlib import Path

import psycopg
from _report import Report, options, progress
from _server import server
from _side_taskhub import prepare
from _sides import Side, Worker

METHOD = """\
A worker without jobs, with its default settings, watched for 60 s after 5 s of rest. Statements are the
calls that pg_stat_statements counts in its database (transactions, on a server without it), less those
that the watcher itself makes; processor time is that of the process, from /proc."""

REST_SECONDS = 5
SIDE = Side(name="idle", script="taskhub", jobs=0)


def statements(connection: psycopg.Connection[object], *, counted: bool) -> int:
    """How many have run in this database so far, those of this watcher left out."""
    if counted:
        query = (
            "SELECT coalesce(sum(s.calls), 0)::bigint FROM pg_stat_statements AS s"
            " JOIN pg_database AS d ON d.oid = s.dbid"
            " WHERE d.datname = current_database() AND s.query NOT LIKE '%pg_stat_%'"
        )
    else:
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    row: tuple[int] | None = connection.execute(query.encode()).fetchone()  # type: ignore[assignment]  # one column
    return row[0] if row else 0


def processor_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(url: str, seconds: int, *, counted: bool) -> tuple[float, float]:
    """Statements a second, and the share of a core."""
    worker = Worker(SIDE.start("idle", url))
    try:
        worker.wait_ready()
        worker.go()
        with psycopg.connect(url, autocommit=True) as connection:
            time.sleep(REST_SECONDS)
            began = time.monotonic()
            before = statements(connection, counted=counted), processor_seconds(worker.process.pid)
            progress(f"watching for {seconds} s")
            time.sleep(seconds)
            after = statements(connection, counted=counted), processor_seconds(worker.process.pid)
            passed = time.monotonic() - began
            # Without pg_stat_statements, each look of ours is a transaction too.
            own = 0 if counted else 1
    finally:
        worker.end()
    return (after[0] - before[0] - own) / passed, (after[1] - before[1]) / passed


def main() -> None:
    """Watch once."""
    asked = options(__doc__ or "", jobs=0, pairs=1, seconds=60)
    report = Report("idle", "a worker without jobs", METHOD)
    with server(shared_preload_libraries="pg_stat_statements") as postgres:
        report.server = postgres.described()
        with postgres.database("taskhub", prepare) as url:
            with psycopg.connect(url, autocommit=True) as connection:
                row = connection.execute("SHOW shared_preload_libraries").fetchone()
                counted = row is not None and "pg_stat_statements" in row[0]
                if counted:
                    connection.execute("CREATE EXTENSION pg_stat_statements")
            rate, share = watch(url, asked.seconds, counted=counted)
    what = "statements" if counted else "transactions"
    report.at_most(f"{what} a second", f"{rate:.2f}", rate, 1, unit="")
    report.at_most("share of a core, %", f"{share * 100:.2f}", share * 100, 1, unit="")
    report.finish(asked)


if __name__ == "__main__":
    main()
