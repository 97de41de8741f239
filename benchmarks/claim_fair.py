"""Whether a claim of 100 in a fair queue costs the same however many jobs and keys wait."""

from statistics import median
from typing import Any

import claim_flat
import psycopg
from _plans import watched_plans
from _report import Report, options, progress
from _server import Server, server
from _ticks import Claimer, Recorder
from claim_flat import COUNTED_CALLS, SLOTS, WARM_CALLS, Cost, Explainer, judge, show, table

METHOD = """\
As claim_flat, but every job has a fair key. First 4,000 jobs of 400 keys are all there is; then they
stand beside a backlog of one key of the same queue, then beside one of as many keys as told, that was
there before them. A tick of the worker claims 100: it draws a window of ready jobs in the order of the
keys' turns, every second time, and claims from it; a figure is the median of six calls. Stale: the tables
were last analysed when they were empty; no autovacuum between, but the notes are vacuumed once.
When the keys end: beside the backlog, 400 keys have one job each, and are forgotten when their next turns
come and find nothing; there a figure is the dearest of 20 calls."""

READY_JOBS, READY_KEYS = 4_000, 400
END_CALLS = 20
CHUNK = 20_000
INSERT = """
INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args, fair_key)
SELECT 'bench', 'noop', jsonb_build_object('n', n), %(prefix)s || mod(n, %(keys)s)
FROM generate_series(%(start)s::bigint, %(stop)s::bigint) AS n
"""


def fill(connection: psycopg.Connection[Any], prefix: str, jobs: int, keys: int) -> None:
    """Insert rows past the client, triggers and all."""
    for start in range(1, jobs + 1, CHUNK):
        stop = min(start + CHUNK - 1, jobs)
        connection.execute(INSERT, {"prefix": prefix, "keys": keys, "start": start, "stop": stop})


def note_all(connection: psycopg.Connection[Any]) -> None:
    """Let every key have its turn noted, as the ticks before would have done."""
    claimer = Claimer(Recorder(connection))
    while True:
        claimer.claim(1)
        row = connection.execute("SELECT EXISTS (SELECT FROM taskhub.fair_notes)").fetchone()
        if row is None or not row[0]:
            return


def measure(url: str) -> Cost:
    """Claim on connections of their own: nothing is planned yet."""
    cost = Cost()
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        explainer = Explainer(connection)
        claimer = Claimer(explainer)
        for counted, must_sweep in ((cost.buffers, False), (cost.sweep_buffers, True)):
            explainer.buffers = []
            for _ in range(WARM_CALLS if not must_sweep else 1):
                claimer.claim(SLOTS, must_sweep=must_sweep)
            explainer.buffers, explainer.milliseconds = counted, []
            for _ in range(COUNTED_CALLS + 1):
                claimer.claim(SLOTS, must_sweep=must_sweep)
            cost.milliseconds = cost.milliseconds or explainer.milliseconds
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        claimer = Claimer(Recorder(connection))
        with watched_plans(connection) as cost.plans:
            for must_sweep in (False, False, True):
                claimer.claim(SLOTS, must_sweep=must_sweep)
    return cost


def measure_end(url: str) -> Cost:
    """Claim until keys have been forgotten, on a connection of its own."""
    cost = Cost()
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        explainer = Explainer(connection)
        explainer.buffers = []
        claimer = Claimer(explainer)
        for _ in range(END_CALLS):
            claimer.claim(SLOTS)
        cost.buffers, cost.milliseconds = [max(explainer.buffers)], [max(explainer.milliseconds)]
    return cost


def cost(postgres: Server, jobs: int, keys: int, *, ready: int = READY_JOBS) -> Cost:
    """What claims cost behind so many jobs of so many keys; or, of keys with one job, their ends."""
    with table(postgres) as (url, connection):
        for name in ("fair_notes", "fair_keys", "fair_lanes"):
            connection.execute(f"ALTER TABLE taskhub.{name} SET (autovacuum_enabled = off)")
        fill(connection, "backlog:", jobs, keys)
        fill(connection, "ready:", ready, READY_KEYS)
        note_all(connection)
        connection.execute("VACUUM taskhub.fair_notes")
        return measure(url) if ready > READY_KEYS else measure_end(url)


def main() -> None:
    """One table after the other."""
    asked = options(__doc__ or "", jobs=1_000_000, pairs=1, keys=100_000)
    report = Report("claim_fair", "a claim of 100 in a queue whose keys take turns", METHOD)
    with server() as postgres:
        report.server = postgres.described()
        plain = claim_flat.costs(postgres, None, 0)["stale"]
        show(report, "almost empty, without keys", plain)
        base = cost(postgres, 0, 1)
        show(report, "almost empty, 400 keys", base)
        report.note("times the buffers of one without keys", _times(base, plain))
        for keys in (1, asked.keys):
            title = f"beside {asked.jobs:,} jobs of {keys:,} {'key' if keys == 1 else 'keys'}"
            progress(title)
            judge(report, title, cost(postgres, asked.jobs, keys), base)
        progress("when the keys end")
        few, many = (cost(postgres, jobs, 1, ready=READY_KEYS) for jobs in (READY_JOBS, asked.jobs))
        ratio = max(many.buffers) / max(few.buffers)
        report.at_most(
            "when the keys end: most buffers", f"{max(many.buffers)} = {ratio:.2f}x", ratio, 1.5
        )
        report.note("when the keys end: most ms", f"{max(many.milliseconds):.2f}")
    report.finish(asked)


def _times(cost: Cost, other: Cost) -> str:
    return f"{median(cost.buffers) / median(other.buffers):.2f}"


if __name__ == "__main__":
    main()
