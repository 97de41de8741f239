"""The engine against a small model: jobs come, run, return, get lost, in transactions of any order."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from psycopg import errors
from psycopg.rows import dict_row
from tests.examples import examples

from taskhub import Hub, db
from taskhub.queue import sql
from taskhub.queue.acks import Ack, Claimed, Failed, Returned, Succeeded, expired, unknown
from taskhub.queue.attempts import describe
from taskhub.queue.retries import Again
from taskhub.queue.tick import Ticker

T = TypeVar("T")
DEFERRERS = 3
WORKERS = 2
LOCKS = (None, "a", "a", "b")
LIMITS = {"x": 2, "y": 1}
LEASE_SECONDS = 60.0
# The first worker knows both tasks, the other one only the first.
TASKS = (["t", "u"], ["t"])
# Lock, limit, fair key, priority, whether it is for later, whether its lock is strict, and the task.
JOBS = st.lists(
    st.tuples(
        st.sampled_from(LOCKS),
        st.sampled_from((None, None, *LIMITS)),
        st.sampled_from((None, "f", "g")),
        st.integers(0, 1),
        st.sampled_from([False, False, True]),
        st.booleans(),
        st.sampled_from(["t", "t", "u"]),
    ),
    min_size=1,
    max_size=5,
)


New = tuple[str | None, str | None, str | None, int, bool, bool, str]


@dataclass
class Known:
    """What the model knows of a job; `by` is the worker that holds it."""

    lock: str | None
    priority: int
    limit: str | None = None
    state: str = "todo"
    is_future: bool = False
    is_strict: bool = False
    task: str = "t"
    is_aside: bool = False
    is_expired: bool = False
    lost: int = 0
    by: int | None = None


class Engine(RuleBasedStateMachine):
    """Three connections that defer, two workers that claim, and the table between them."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.admin = psycopg.connect(self.url, autocommit=True, row_factory=dict_row)
        self.admin.execute(
            "TRUNCATE taskhub.procrastinate_jobs, taskhub.attempts, taskhub.lock_notes, "
            "taskhub.fair_notes, taskhub.fair_keys, taskhub.fair_lanes, "
            "taskhub.workers, taskhub.procrastinate_workers CASCADE"
        )
        self.deferrers = [psycopg.connect(self.url) for _ in range(DEFERRERS)]
        self.unsure: list[dict[int, Known]] = [{} for _ in range(DEFERRERS)]
        self.jobs: dict[int, Known] = {}
        self.held: dict[int, tuple[int, Claimed]] = {}
        self.zombies: list[tuple[int, Claimed]] = []
        self.old: list[tuple[int, Claimed]] = []
        self.connections = [self.run(self.connect()) for _ in range(WORKERS)]
        self.ids = [self.enter(n) for n in range(WORKERS)]
        self.tickers = [Ticker("taskhub", worker_id, None) for worker_id in self.ids]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self.url, autocommit=True)

    def enter(self, n: int) -> int:
        row = self.admin.execute(
            sql.load("register_worker", "taskhub"),
            {
                "host": "h", "pid": 1, "name": "n", "version": "0", "queues": None, "tasks": TASKS[n],
                "crons": [],
                "concurrency": 1, "lease_seconds": LEASE_SECONDS, "versions": "{}",
            },
        ).fetchone()  # fmt: skip
        assert row is not None
        return int(row["id"])

    def teardown(self) -> None:
        for connection in self.deferrers:
            connection.close()
        for other in self.connections:
            self.run(other.close())
        self.admin.close()
        self.loop.close()

    @initialize(jobs=JOBS)
    def begin(self, jobs: list[New]) -> None:
        self.defer(0, jobs, "commit")

    # Jobs come. Hypothesis leaves some rules out of each example: what every one needs is one rule. And
    # none has a precondition: which job is claimed is a matter of time, so a replay may meet another state,
    # where Hypothesis wants to draw the same.

    @rule(
        n=st.integers(0, DEFERRERS - 1),
        jobs=JOBS,
        then=st.sampled_from(["commit", "commit", "leave open", "roll back"]),
    )
    def defer(self, n: int, jobs: list[New], then: str) -> None:
        for lock, limit, fair_key, priority, is_future, strict, task in jobs:
            is_strict = strict and lock is not None
            row = (
                self.deferrers[n]
                .execute(
                    "INSERT INTO taskhub.procrastinate_jobs "
                    "(queue_name, task_name, is_strict, priority, lock, limit_key, at_most, fair_key, "
                    "scheduled_at) VALUES ('q', %s, %s, %s, %s, %s, %s, %s, "
                    "CASE WHEN %s THEN now() + interval '1 hour' END) "
                    "RETURNING id",
                    (
                        task,
                        is_strict,
                        priority,
                        lock,
                        limit,
                        LIMITS.get(limit or ""),
                        fair_key,
                        is_future,
                    ),
                )
                .fetchone()
            )
            assert row is not None
            self.unsure[n][row[0]] = Known(
                lock, priority, limit, is_future=is_future, is_strict=is_strict, task=task
            )
        if then != "leave open":
            self.finish(n, commit=then == "commit")

    @rule(n=st.integers(0, DEFERRERS - 1), commit=st.sampled_from([True, True, False]))
    def finish(self, n: int, commit: bool) -> None:
        if commit:
            self.deferrers[n].commit()
            self.jobs |= self.unsure[n]
        else:
            self.deferrers[n].rollback()
        self.unsure[n] = {}

    @rule()
    def an_hour_passes(self) -> None:
        self.admin.execute(
            "UPDATE taskhub.procrastinate_jobs SET scheduled_at = now() - interval '1 second' "
            "WHERE status = 'todo' AND scheduled_at > now()"
        )
        for job in self.jobs.values():
            job.is_future = False

    # Jobs run

    @rule(
        n=st.integers(0, WORKERS - 1),
        ends=st.lists(
            st.sampled_from(["succeeded", "failed", "retried", "retried", "snoozed"]), max_size=3
        ),
        slots=st.integers(0, 4),
        must_sweep=st.booleans(),
    )
    def work(self, n: int, ends: list[str], slots: int, must_sweep: bool) -> None:
        mine = [job_id for job_id, (by, _) in self.held.items() if by == n]
        self.tick(n, list(map(self.end, mine, ends)), slots, must_sweep=must_sweep)

    def end(self, job_id: int, what: str) -> Ack:
        n, job = self.held.pop(job_id)
        known = self.jobs[job_id]
        known.by = None
        if what == "succeeded":
            known.state = "succeeded"
            return Succeeded(job)
        if what == "failed":
            known.state = "failed"
            return Failed(job=job, failure=describe(ValueError()))
        known.state, known.is_future = "todo", what == "snoozed"
        self.old.append((self.ids[n], job))
        again = Again(in_seconds=3600.0 if known.is_future else 0.0)
        return Returned(job=job, outcome=what, again=again)

    @rule(n=st.integers(0, WORKERS - 1))
    def worker_is_lost(self, n: int) -> None:
        self.admin.execute(
            "UPDATE taskhub.procrastinate_workers SET last_heartbeat = now() - interval '1 day' "
            "WHERE id = %s",
            (self.ids[n],),
        )
        self.admin.execute(
            sql.load("rescue_jobs", "taskhub"),
            {"lease_seconds": 0.0, "worker_ids": None, "what": "x"},
        )
        self.admin.execute(sql.load("bury_workers", "taskhub"), {})
        for job_id in [i for i, (by, _) in self.held.items() if by == n]:
            self.zombies.append((self.ids[n], self.held.pop(job_id)[1]))
            known = self.jobs[job_id]
            known.lost += 1
            known.state, known.by = ("failed" if known.lost >= 5 else "todo"), None
        self.ids[n] = self.enter(n)
        self.tickers[n] = Ticker("taskhub", self.ids[n], None)

    @rule(pick=st.integers(0, 99))
    def a_lost_worker_wakes_and_reports(self, pick: int) -> None:
        if not self.zombies:
            return
        worker_id, job = self.zombies.pop(pick % len(self.zombies))
        zombie = Ticker("taskhub", worker_id, None)

        answer = self.run(zombie.tick(self.connections[0], [Succeeded(job)], 0))

        assert answer.stored == frozenset()

    @rule(pick=st.integers(0, 99))
    def a_worker_reports_a_claim_that_it_has_told_of(self, pick: int) -> None:
        if not self.old:
            return
        worker_id, job = self.old[pick % len(self.old)]
        same = Ticker("taskhub", worker_id, None)

        # The same worker may run the same job by now, under another claim.
        answer = self.run(same.tick(self.connections[0], [Succeeded(job)], 0))

        assert answer.stored == frozenset()

    @rule(n=st.integers(0, WORKERS - 1))
    def claim_a_suspect(self, n: int) -> None:
        self.tick(n, [], 1, alone=True)

    def tick(self, n: int, acks: list[Ack], slots: int, **how: Any) -> None:
        try:
            answer = self.run(self.tickers[n].tick(self.connections[n], acks, slots, **how))
        except errors.LockNotAvailable as error:
            raise AssertionError("a tick waited for somebody's transaction") from error
        stored = answer.stored
        assert stored is None or stored == {ack.job.id for ack in acks}
        for job in answer.claimed:
            known = self.jobs[job.id]  # never one that is not committed
            assert known.state == "todo"
            assert not known.is_future
            assert (known.lost >= 2) == bool(how.get("alone"))
            assert not known.is_aside or n == 0
            assert bool(job.is_expired) == known.is_expired
            known.state, known.by = "doing", n
            self.held[job.id] = (n, job)
        if slots and n == 0:
            # Perhaps it let more of them go on than it claimed.
            for known in self.jobs.values():
                known.is_aside = False
        self.refuse(n, answer.claimed)

    def refuse(self, n: int, claimed: Sequence[Claimed]) -> None:
        """What a worker does not run: jobs past their time, and those it does not know."""
        acks: list[Ack] = []
        for job in claimed:
            known = self.jobs[job.id]
            if known.is_expired:
                acks.append(expired(job))
                known.state = "cancelled"
            elif known.task not in TASKS[n]:
                acks.append(unknown(job))
                known.state, known.is_aside = "todo", True
                self.old.append((self.ids[n], job))
            else:
                continue
            known.by = None
            del self.held[job.id]
        if acks:
            self.tick(n, acks, 0)

    # What must hold

    @invariant()
    def the_table_says_what_the_model_says(self) -> None:
        rows = self.admin.execute(
            "SELECT id, status::text AS state, lost, worker_id FROM taskhub.procrastinate_jobs"
        ).fetchall()
        there = {row["id"]: (row["state"], row["lost"]) for row in rows}
        expected = {i: (j.state, j.lost) for i, j in self.jobs.items() if j.state != "succeeded"}
        assert there == expected

    @invariant()
    def one_lock_is_held_once(self) -> None:
        locks = [j.lock for j in self.jobs.values() if j.state == "doing" and j.lock is not None]
        assert len(locks) == len(set(locks))

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        for limit, at_most in LIMITS.items():
            row = self.admin.execute(
                "SELECT count(*) AS ready, count(*) FILTER (WHERE status = 'doing') AS running "
                "FROM taskhub.procrastinate_jobs "
                "WHERE limit_key = %s AND gate = 0 AND status IN ('todo', 'doing')",
                (limit,),
            ).fetchone()
            assert row is not None
            assert row["ready"] <= at_most
            assert row["running"] == len(self.of(limit, "doing"))

    def of(self, limit: str, state: str) -> list[int]:
        return [i for i, j in self.jobs.items() if j.limit == limit and j.state == state]

    @rule(pick=st.integers(0, 99))
    def a_user_cancels_a_waiting_job(self, pick: int) -> None:
        waiting = [i for i, j in self.jobs.items() if j.state == "todo"]
        if waiting:
            job_id = sorted(waiting)[pick % len(waiting)]
            self.admin.execute("SELECT taskhub.cancel_v1(%s, NULL)", (job_id,))
            self.jobs[job_id].state = "cancelled"

    @rule(pick=st.integers(0, 99))
    def the_time_of_a_waiting_job_runs_out(self, pick: int) -> None:
        waiting = [i for i, j in self.jobs.items() if j.state == "todo"]
        if waiting:
            job_id = sorted(waiting)[pick % len(waiting)]
            self.admin.execute(
                "UPDATE taskhub.procrastinate_jobs SET expires_at = now() WHERE id = %s", (job_id,)
            )
            self.jobs[job_id].is_expired = True

    @rule()
    def sweep_what_has_expired(self) -> None:
        self.admin.execute("SELECT taskhub.expire_v1()")
        for job in self.jobs.values():
            if job.state == "todo" and job.is_expired:
                job.state = "cancelled"

    @rule()
    def a_worker_that_looks_at_everything_gets_all_that_can_run(self) -> None:
        self.sweep_what_has_expired()
        n = 0  # it knows all tasks
        busy = {j.lock for j in self.jobs.values() if j.state == "doing"}
        ready = {i: j for i, j in self.jobs.items() if j.state == "todo" and not j.is_future}
        wanted = {i for i, j in ready.items() if j.lock is None}
        for lock in {j.lock for j in ready.values()} - busy - {None}:
            # By priority, then in the order of the ids; one job at a time. Of strict ones the first.
            waiting = [i for i, j in self.jobs.items() if j.state == "todo" and j.lock == lock]
            later = sorted(i for i in waiting if self.jobs[i].is_strict)[1:]
            able = [(-ready[i].priority, i) for i in waiting if i in ready and i not in later]
            wanted |= {i for _, i in sorted(able)[:1]}
        limited = {i for i in wanted if self.jobs[i].limit is not None}
        wanted -= limited
        suspects = {i for i in wanted if self.jobs[i].lost >= 2}

        self.tick(n, [], 1000, must_sweep=True)

        assert {i for i in wanted if self.jobs[i].state == "doing"} == wanted - suspects
        for limit, at_most in LIMITS.items():
            # A job that must be claimed alone may have a slot and not run yet.
            left = [i for i in limited & set(self.of(limit, "todo")) if self.jobs[i].lost < 2]
            alone = [i for i in self.of(limit, "todo") if self.jobs[i].lost >= 2]
            assert not left or len(self.of(limit, "doing")) + len(alone) >= at_most


def test_the_engine_does_what_the_model_does(hub: Hub) -> None:
    machine = type("OnThisDatabase", (Engine,), {"url": db.conninfo(hub.url)})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(30, 150),
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
