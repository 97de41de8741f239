"""Whether every screen and listing answers at once beside a million jobs that wait and a million that ran."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import psycopg
from _report import Report, options, progress
from _server import server
from _side_taskhub import prepare

from taskhub import Hub, dashboard
from taskhub.queue import actions, insight, minutes
from taskhub.queue.filter_text import parse
from taskhub.settings import Settings
from taskhub.system import statistics

METHOD = """\
A database of --jobs waiting jobs, as many that succeeded within the last six hours and a hundredth of them
that failed in forty ways, of 20 tasks in 5 queues, written through the real tables and their triggers, then
vacuumed and its minutes added up. Each question is asked --pairs times after one that warms caches and plans,
one after the other, as the screens and the command line ask it: on pooled connections, read-only, with a
statement_timeout. The pages are those of the dashboard as an ASGI application of an administrator, whole, in
this process: questions, template and all but the socket. The figure is the 95th percentile."""

BAR_SECONDS = 0.1
CHUNK = 50_000
ARGS = "jsonb_build_object('document_id', mod(n, 5000), 'tenant_id', mod(n, 50))"
PLACE = "'queue_' || mod(n, 5), 'task_' || mod(n, 20)"
FAILED = """
INSERT INTO taskhub.procrastinate_jobs
    (queue_name, task_name, args, status, attempts, deferred_at, started_at, finished_at)
SELECT {place}, {args}, 'failed', 1, at - interval '1 min', at - interval '2 s', at
FROM (SELECT n, now() - make_interval(secs => mod(n, 80000)) AS at
      FROM generate_series(%(start)s::bigint, %(stop)s::bigint) AS n) AS one
"""
CAUSES = """
INSERT INTO taskhub.attempts (job_id, claim, attempt, outcome, queue_name, task_name, started_at,
    finished_at, error_class, error_message, traceback, fingerprint)
SELECT j.id, 1, 1, 'failed', j.queue_name, j.task_name, j.started_at, j.finished_at, 'ValueError',
    'no route to host ' || j.id, 'Traceback', md5(mod(j.id, 40)::text)
FROM taskhub.procrastinate_jobs AS j WHERE j.status = 'failed'
"""
SUCCEEDED = """
INSERT INTO taskhub.attempts (job_id, claim, attempt, outcome, queue_name, task_name, started_at,
    finished_at, deferred_at, args, priority, lock)
SELECT nextval('taskhub.procrastinate_jobs_id_seq'), 1, 1, 'succeeded', {place}, at - interval '1 s', at,
    at - interval '1 min', {args}, 0, 'lock_' || n
FROM (SELECT n, now() - make_interval(secs => 21600 - 21600.0 * n / %(of)s::bigint) AS at
      FROM generate_series(%(start)s::bigint, %(stop)s::bigint) AS n) AS one
"""
WAITING = """
INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args, priority, deferred_at)
SELECT {place}, {args}, mod(n, 3), now() - make_interval(secs => 3600.0 - 3600.0 * n / %(of)s::bigint)
FROM generate_series(%(start)s::bigint, %(stop)s::bigint) AS n
"""
# As a worker does: the history's partitions for the ids that come next.
AHEAD = """
SELECT taskhub.extend_attempts_v1(s.last_value + 1000000, '{}')
FROM taskhub.procrastinate_jobs_id_seq AS s
"""


def fill(url: str, jobs: int) -> None:
    """A hub in the middle of its work: `jobs` that wait, as many that ran, a hundredth that failed."""
    with psycopg.connect(url, autocommit=True) as connection:
        for what, statement, count in (
            ("failed", FAILED, jobs // 100), ("ran", SUCCEEDED, jobs), ("wait", WAITING, jobs),
        ):  # fmt: skip
            progress(f"{count} jobs that {what}")
            for start in range(1, count + 1, CHUNK):
                stop = min(start + CHUNK - 1, count)
                asked = {"start": start, "stop": stop, "of": count}
                used = {name: value for name, value in asked.items() if f"%({name})s" in statement}
                connection.execute(AHEAD)
                connection.execute(statement.format(place=PLACE, args=ARGS).encode(), used)
            if what == "failed":
                connection.execute(CAUSES)
        connection.execute("VACUUM (ANALYZE)")


def questions(hub: Hub) -> dict[str, Callable[[], Any]]:
    """What is asked, by name."""
    newest = insight.page(hub, limit=1).jobs[0].id
    [failed] = insight.jobs(hub, parse("state:failed"), limit=1)
    asked: dict[str, Callable[[], Any]] = {
        "overview": lambda: insight.overview(hub),
        "queues": lambda: insight.queues(hub),
        "counts": lambda: insight.counts(hub),
        "workers": lambda: insight.workers(hub),
        "running": lambda: insight.running(hub),
        "unserved": lambda: insight.unserved(hub),
        "held keys": lambda: insight.held_keys(hub),
        "failures, 1 h": lambda: insight.failures(hub, since=timedelta(hours=1)),
        "failures, 7 d": lambda: insight.failures(hub, since=timedelta(days=7)),
        "tasks, 1 h": lambda: insight.tasks(hub),
        "tasks, 24 h": lambda: insight.tasks(hub, since=timedelta(days=1)),
        "limits": hub.limits,
        "schedules": hub.crons.states,
        "audit": lambda: insight.audit(hub),
        "job": lambda: insight.job(hub, failed.id),
        "why, ready": lambda: insight.why(hub, newest),
        "why, failed": lambda: insight.why(hub, failed.id),
        "retry all failed, previewed": lambda: actions.freeze(hub, parse("state:failed")),
    }
    for text in (
        "", "state:todo", "state:failed", "state:succeeded", "state:doing", "queue:queue_3",
        "state:failed queue:queue_3 task:task_3", 'state:failed error:"no route"',
        f"state:failed fingerprint:{failed.fingerprint}", f"id:{failed.id}", "since:1h",
        "args.document_id:42",
    ):  # fmt: skip
        wanted = parse(text)
        asked[f"jobs {text}".strip()] = partial(insight.page, hub, wanted)
    deep = newest // 2
    asked["jobs, a page in the middle"] = lambda: insight.page(hub, before_id=deep)
    return asked


class Visitor:
    """An administrator before the dashboard."""

    def __init__(self, hub: Hub) -> None:
        self._app = dashboard.create(hub, anonymous="admin")
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(self._app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    def ask(self, path: str) -> None:
        """One page, whole."""
        answer = self._runner.run(self._client.get(path))
        if answer.status_code != 200:
            raise SystemExit(f"{path} answered {answer.status_code}: {answer.text[:500]}")

    def pages(self, job_id: int) -> dict[str, Callable[[], Any]]:
        """Every page that needs no more than an address, and those of a job, a queue and a task."""
        house = self._app.state.house
        paths = [
            route.path
            for route in house.routes
            if route.method == "GET" and route.title and "{" not in route.path
        ]
        paths = [p for p in paths if not p.endswith("/show") and p != "/login"]
        paths += [
            f"/jobs/{job_id}", "/jobs?q=state:failed", "/jobs?q=state:succeeded", "/jobs/bulk?q=state:failed",
            "/queues/show?name=queue_3", "/tasks/show?name=task_3",
        ]  # fmt: skip
        return {f"page {path}": partial(self.ask, path) for path in paths}

    def close(self) -> None:
        """Let go of the connections."""
        self._runner.run(self._client.aclose())
        self._runner.close()
        self._app.state.house.reader.close()


def main() -> None:
    """Fill, ask, judge."""
    asked = options(__doc__ or "", jobs=1_000_000, pairs=30, keep=0)
    report = Report("screens", "questions of screens and listings", METHOD)
    with server() as made, made.database("screens", prepare) as url:
        report.server = made.described()
        fill(url, asked.jobs)
        hub = Hub(settings=replace(Settings(), database_url=url))
        began = time.monotonic()
        minutes.add_up(hub)
        report.note("an hour of minutes added up, by a worker", f"{time.monotonic() - began:.2f} s")
        began = time.monotonic()
        hours = statistics.roll_up(hub)
        report.note(f"{hours} hours rolled up, by a job", f"{time.monotonic() - began:.2f} s")
        visitor = Visitor(hub)
        [failed] = insight.jobs(hub, parse("state:failed"), limit=1)
        for name, ask in {**questions(hub), **visitor.pages(failed.id)}.items():
            ask()
            took = []
            for _ in range(asked.pairs):
                began = time.monotonic()
                ask()
                took.append(time.monotonic() - began)
            p95 = sorted(took)[max(0, round(0.95 * len(took)) - 1)]
            progress(f"{name}: {p95 * 1000:.0f} ms")
            report.at_most(name, f"{p95 * 1000:.0f} ms", p95 * 1000, BAR_SECONDS * 1000, " ms")
        visitor.close()
        hub.close()
        if asked.keep:
            progress(f"kept until Enter: {url}")
            input()
    report.finish(asked)


if __name__ == "__main__":
    main()
