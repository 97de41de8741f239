"""Whether a claim of 100 jobs costs the same whatever else waits, and keeps its plans."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import psycopg
from _plans import watched_plans
from _report import Report, options, progress
from _server import Server, server
from _side_taskhub import prepare
from _ticks import Claimer, Recorder

METHOD = """\
The worker's own call, made by its own code, claims 100 of some thousand ready jobs, first with nothing
else in the table, then behind a backlog that was there before them: in another queue, in the future,
behind one lock of the same queue whose holder runs, over a limit of 50 on one key of the same queue,
of a paused task of the same queue, in a paused queue, behind 100,000 locks whose holders run, of a task of
the same queue that no worker knows. Backlogs of fair keys: claim_fair. Just before
each call the same statement with the same parameters runs under EXPLAIN (ANALYZE, BUFFERS) and is
rolled back; a figure is the median of five, after ten calls that warm caches and plans. Most ticks go
on where the last one ended; once a second one looks at everything. Stale: the table was last analysed
when it was empty; fresh: just now; no autovacuum between, but where jobs were set aside for a paused or
unknown task the table is vacuumed once, as autovacuum does when 10,000 of them were. Plans are those of all
nested statements as auto_explain shows them, compared by node, table and index with those of the almost
empty table. The lock notes are vacuumed once after the backlog. Buffers are shared hits and reads; the
clock is for reading only."""

SLOTS = 100
READY_JOBS = 4_000
WARM_CALLS = 10
COUNTED_CALLS = 5
CHUNK = 20_000
# The second one is paused where anything is.
QUEUES = ("bench", "held")

INSERT = """
INSERT INTO taskhub.procrastinate_jobs
    (queue_name, task_name, priority, lock, args, scheduled_at, limit_key, at_most)
SELECT {columns} FROM generate_series(%(start)s::bigint, %(stop)s::bigint) AS n
"""
READY = "'bench', 'noop', 0, NULL, jsonb_build_object('n', n), NULL, NULL, NULL"
PLAIN = "jsonb_build_object('n', n), NULL, NULL, NULL"
BACKLOGS = {
    "in another queue": f"'other', 'noop', 0, NULL, {PLAIN}",
    "in the future": "'bench', 'noop', 0, NULL, jsonb_build_object('n', n), now() + interval '1 day', "
    "NULL, NULL",
    "behind one lock": f"'bench', 'noop', 0, 'one', {PLAIN}",
    "behind {locks} locks": f"'bench', 'noop', 0, mod(n, {{count}})::text, {PLAIN}",
    "over a limit": "'bench', 'noop', 0, NULL, jsonb_build_object('n', n), NULL, 'one', 50",
    "of a paused task": f"'bench', 'held', 0, NULL, {PLAIN}",
    "in a paused queue": f"'held', 'noop', 0, NULL, {PLAIN}",
    "of an unknown task": f"'bench', 'gone', 0, NULL, {PLAIN}",
}
SET_ASIDE = """
SELECT taskhub.set_aside_v1(ARRAY(
    SELECT id FROM taskhub.procrastinate_jobs
    WHERE status = 'todo' AND gate = 0 AND queue_name = 'bench' AND task_name = 'gone' LIMIT 1
))
FROM taskhub.procrastinate_jobs
WHERE status = 'todo' AND gate = 0 AND queue_name = 'bench' AND task_name = 'gone'
LIMIT 1
"""


@dataclass(slots=True)
class Cost:
    """What claims cost in one state of the table; a list holds one figure a call."""

    buffers: list[int] = field(default_factory=list)
    sweep_buffers: list[int] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    plans: dict[str, set[str]] = field(default_factory=dict)


class Explainer(Recorder):
    """Explains each call before it is made, if told to."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection)
        self.buffers: list[int] | None = None
        self.milliseconds: list[float] = []

    def before(self) -> None:
        """Run it under EXPLAIN and take it back."""
        if self.buffers is None:
            return
        with self.connection.transaction(force_rollback=True):
            row = self.connection.execute(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {self.query}".encode(), self.parameters
            ).fetchone()
        [told] = row[0] if row else [{}]
        plan = told["Plan"]
        self.buffers.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
        self.milliseconds.append(told["Execution Time"])


def fill(connection: psycopg.Connection[Any], columns: str, jobs: int) -> None:
    """Insert rows past the client, triggers and all."""
    for start in range(1, jobs + 1, CHUNK):
        connection.execute(
            INSERT.format(columns=columns).encode(),
            {"start": start, "stop": min(start + CHUNK - 1, jobs)},
        )


def pause(connection: psycopg.Connection[Any]) -> None:
    """Pause what a backlog is made of; in the almost empty table, nothing that is there."""
    for name in ("task:held", "queue:held"):
        connection.execute(
            "SELECT taskhub.rule_v1(%s, 'pause', NULL, 'a benchmark', NULL)", (name,)
        )


def set_aside(connection: psycopg.Connection[Any]) -> None:
    """Let a worker find out that it does not know a task, until none of its jobs is ready."""
    while connection.execute(SET_ASIDE).rowcount:
        pass


def hold_locks(connection: psycopg.Connection[Any]) -> None:
    """Let another worker claim whatever the backlog has ready, and set aside what it must not."""
    holder = Claimer(Recorder(connection), *QUEUES)
    while (
        (answer := holder.claim(1000, must_sweep=True)).claimed
        or answer.has_more
        or notes(connection)
    ):
        pass


def notes(connection: psycopg.Connection[Any]) -> bool:
    """Whether locks wait to be looked at."""
    row = connection.execute("SELECT EXISTS (SELECT FROM taskhub.lock_notes)").fetchone()
    return row is not None and row[0]


def measure(url: str) -> Cost:
    """Add ready jobs and claim them, on connections of their own: nothing is planned yet."""
    cost = Cost()
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        fill(connection, READY, READY_JOBS)
        explainer = Explainer(connection)
        claimer = Claimer(explainer, *QUEUES)
        for counted, must_sweep in ((cost.buffers, False), (cost.sweep_buffers, True)):
            explainer.buffers = []  # EXPLAIN's copy of the statement has a plan to warm as well
            for _ in range(WARM_CALLS if not must_sweep else 1):
                claimer.claim(SLOTS, must_sweep=must_sweep)
            explainer.buffers = counted
            explainer.milliseconds = []
            for _ in range(COUNTED_CALLS):
                claimer.claim(SLOTS, must_sweep=must_sweep)
            cost.milliseconds = cost.milliseconds or explainer.milliseconds
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        claimer = Claimer(Recorder(connection), *QUEUES)
        for _ in range(WARM_CALLS):
            claimer.claim(SLOTS)
        with watched_plans(connection) as cost.plans:
            claimer.claim(SLOTS)
            claimer.claim(SLOTS, must_sweep=True)
    return cost


@contextmanager
def table(postgres: Server) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """A fresh database whose jobs table is analysed while empty, and by nobody else later."""
    with (
        postgres.database("taskhub", prepare) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        connection.execute("ALTER TABLE taskhub.procrastinate_jobs SET (autovacuum_enabled = off)")
        connection.execute("ALTER TABLE taskhub.lock_notes SET (autovacuum_enabled = off)")
        connection.execute("ANALYZE")
        yield url, connection


def costs(
    postgres: Server,
    columns: str | None,
    jobs: int,
    *,
    paused: bool = False,
    unknown: bool = False,
) -> dict[str, Cost]:
    """With statistics that are stale, and with fresh ones."""
    with table(postgres) as (url, connection):
        if columns is not None:
            fill(connection, columns, jobs)
        if paused:
            pause(connection)
        set_aside(connection)
        hold_locks(connection)
        # As autovacuum does within a minute; the jobs' own table stays as it is.
        connection.execute("VACUUM taskhub.lock_notes")
        if paused or unknown:
            connection.execute("VACUUM taskhub.procrastinate_jobs")
        stale = measure(url)
        connection.execute("ANALYZE")
        return {"stale": stale, "fresh": measure(url)}


def differences(cost: Cost, base: Cost) -> list[str]:
    """The statements whose plans are not those of the almost empty table."""
    return [
        f"{' '.join(query.split())[:60]}: {' / '.join(sorted(shapes))}"
        f", instead of {' / '.join(sorted(base.plans[query]))}"
        for query, shapes in cost.plans.items()
        if query in base.plans and not shapes <= base.plans[query]
    ]


def main() -> None:
    """One table after the other."""
    asked = options(__doc__ or "", jobs=1_000_000, pairs=1, locks=100_000)
    report = Report("claim_flat", "a claim of 100 beside what else waits", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        bases = costs(postgres, None, 0)
        paused_bases = costs(postgres, None, 0, paused=True)
        unknown_bases = costs(postgres, BACKLOGS["of an unknown task"], 1, unknown=True)
        for statistics, base in bases.items():
            show(report, f"almost empty, {statistics} statistics", base)
            judge(
                report,
                f"almost empty, with two pauses, {statistics}",
                paused_bases[statistics],
                base,
            )
            show(
                report,
                f"almost empty, with a job set aside, {statistics}",
                unknown_bases[statistics],
            )
        for name, pattern in BACKLOGS.items():
            title = f"{asked.jobs:,} {name.format(locks=f'{asked.locks:,}')}"
            progress(title)
            kind = {"paused": "paused" in name, "unknown": "unknown" in name}
            found = costs(postgres, pattern.format(count=asked.locks), asked.jobs, **kind)
            mine = paused_bases if kind["paused"] else unknown_bases if kind["unknown"] else bases
            for statistics, cost in found.items():
                base = mine[statistics]
                judge(report, f"{title}, {statistics}", cost, base)
    report.finish(asked)


def show(report: Report, what: str, cost: Cost) -> None:
    """What a state costs, without a bar."""
    report.note(
        f"{what}: buffers, of a sweep", f"{median(cost.buffers)}, {median(cost.sweep_buffers)}"
    )
    report.note(f"{what}: ms", f"{median(cost.milliseconds):.2f}")
    report.note(f"{what}: nested statements seen", str(len(cost.plans)))


def judge(report: Report, what: str, cost: Cost, base: Cost) -> None:
    """The bars of one state."""
    for kind, mine, its in (
        ("buffers", cost.buffers, base.buffers),
        ("buffers of a sweep", cost.sweep_buffers, base.sweep_buffers),
    ):
        ratio = median(mine) / median(its)
        report.at_most(f"{what}: {kind}", f"{median(mine)} = {ratio:.2f}x", ratio, 1.5)
    report.note(f"{what}: ms", f"{median(cost.milliseconds):.2f}")
    changed = differences(cost, base)
    measured = "; ".join(changed) if changed else f"{len(cost.plans)} statements alike"
    report.holds(f"{what}: plans", measured, "the same", met=not changed)


if __name__ == "__main__":
    main()
