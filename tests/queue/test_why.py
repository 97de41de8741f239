"""Why a job is where it is: a specific answer for every state and gate, and a bounded one."""

import itertools
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.queue.staged import change, connected, gone, names, new_worker, run_by

from taskhub import Backoff, Fail, Hub, Snooze, db
from taskhub.queue import UnknownJob, insight, sql
from taskhub.queue.why import CHECKS, limits, locks, look, ready, words


@pytest.fixture(autouse=True)
def tasks(hub: Hub) -> None:
    @hub.task(name="send", queue="mail")
    async def send() -> None: ...


STATES = ("todo", "doing", "aborting", "succeeded", "failed", "cancelled", "aborted")


@pytest.mark.parametrize("has_worker", [True, False])
def test_every_state_and_gate_the_table_can_hold_has_a_specific_answer(
    hub: Hub, has_worker: bool
) -> None:
    worker_id = new_worker(hub) if has_worker else None
    job_id = hub.tasks["send"].defer().id
    known_gates = range(8)
    told = {}
    for status, gate, lost, keyed, when in itertools.product(
        STATES, known_gates, (0, 2), (True, False), (None, "-1 min", "1 min")
    ):
        if status != "todo" and (keyed or when):
            continue
        change(
            hub,
            "UPDATE taskhub.procrastinate_jobs SET status = %s, gate = %s, lost = %s, lock = %s, "
            "limit_key = %s, worker_id = %s, scheduled_at = now() + %s::interval WHERE id = %s",
            status, gate, lost, "l" if gate == 2 else None, "k" if gate == 3 or keyed else None, worker_id,
            when, job_id,
        )  # fmt: skip
        why = insight.why(hub, job_id)
        told[status, gate] = why.sentence
        assert why.reasons, (status, gate)
        assert re.match(rf"job {job_id} \w+[ ,].{{4,}}", why.sentence), why.sentence
        assert "unknown reason" not in why.sentence

    # Each gate has an answer of its own.
    waiting = {told["todo", gate] for gate in known_gates}
    assert len(waiting) == len(known_gates)
    assert {told[status, 0] for status in STATES} - waiting


def test_a_job_that_runs_names_its_worker_and_its_lease(hub: Hub) -> None:
    worker_id = new_worker(hub)
    job = hub.tasks["send"].defer()
    run_by(hub, worker_id, job.id)
    job.cancel(reason="too slow")

    why = insight.why(hub, job.id)

    assert [reason.name for reason in why.reasons] == ["running", "asked_to_stop"]
    assert why.sentence.startswith(f"job {job.id} runs on worker {worker_id} (box, pid 77) since ")
    assert "UTC (3 min ago), lease until " in why.sentence
    assert why.sentence.endswith("(too slow)")
    assert why.reasons[0].facts["worker_id"] == worker_id


def test_a_job_of_a_dead_worker_tells_who_can_give_it_back(hub: Hub) -> None:
    worker_id = new_worker(hub)
    job = hub.tasks["send"].defer()
    run_by(hub, worker_id, job.id)
    gone(hub, worker_id)

    alone = insight.why(hub, job.id)
    new_worker(hub)
    helped = insight.why(hub, job.id)

    assert alone.reasons[0].name == helped.reasons[0].name == "worker_lost"
    assert "no live worker is there to give it back: start one, or run `taskhub rescue`" in (
        alone.sentence
    )
    assert "a live worker gives it back at its next round" in helped.sentence


def test_a_job_behind_its_lock_tells_who_has_it_and_what_that_one_does(hub: Hub) -> None:
    send = hub.tasks["send"].options(lock="a")
    worker_id = new_worker(hub)
    holder, second, third = send.defer(), send.defer(), send.defer()
    run_by(hub, worker_id, holder.id)

    why = insight.why(hub, third.id)

    assert why.reasons[0].name == "locked"
    assert f"waits for lock 'a', held by job {holder.id}, which runs on worker {worker_id}" in (
        why.sentence
    )
    assert "; 1 job behind that lock go first" in why.sentence
    assert why.reasons[0].facts["holder_reason"]["reason"] == "running"
    assert names(hub, second.id) == ["locked"]


def test_a_holder_that_waits_itself_is_explained_one_level_deeper(hub: Hub) -> None:
    send = hub.tasks["send"].options(lock="a")
    new_worker(hub)
    holder, other = send.defer(), send.defer()
    change(hub, "UPDATE taskhub.procrastinate_jobs SET gate = 0 WHERE id = %s", holder.id)
    hub.pause(queue="mail", reason="provider is down")

    sentence = insight.why(hub, other.id).sentence

    assert (
        f"held by job {holder.id}, which waits for queue 'mail' to be resumed, paused" in sentence
    )
    assert "(provider is down)" in sentence


def test_a_job_behind_its_limit_names_the_holders_and_the_rule(hub: Hub) -> None:
    send = hub.tasks["send"].options(limit="tenant:7", at_most=3)
    worker_id = new_worker(hub, slots=9)
    jobs = [send.defer() for _ in range(10)]
    run_by(hub, worker_id, *[job.id for job in jobs[:7]])
    hub.limit("tenant:7", at_most=2)

    why = insight.why(hub, jobs[9].id)

    assert why.reasons[0].name == "limited"
    assert "waits for limit 'tenant:7', 2 at once by its rule, 3 by its task: taken by jobs " in (
        why.sentence
    )
    assert "and 2 more; 2 jobs behind that limit go first" in why.sentence
    assert len(why.reasons[0].facts["holders"]) == 5

    hub.pause(key="tenant:7", until=timedelta(hours=1))
    assert names(hub, jobs[9].id) == ["limit_paused"]


def test_a_limit_with_room_says_so(hub: Hub) -> None:
    new_worker(hub)
    job = hub.tasks["send"].options(limit="k", at_most=1).defer()

    assert "which has room: the next round of a worker lets it go on" in job.why()


def test_pauses_and_limits_of_queue_and_task_are_told_with_time_and_reason(hub: Hub) -> None:
    worker_id = new_worker(hub)
    job, running = hub.tasks["send"].defer(), hub.tasks["send"].defer()
    run_by(hub, worker_id, running.id)

    hub.pause(queue="mail", reason="provider is down", until=timedelta(hours=3))
    assert names(hub, job.id) == ["queue_paused"]
    assert re.search(
        r"waits for queue 'mail' to be resumed, paused since .* until .* UTC \(in 3 h\) \(provider is down\)",
        job.why(),
    )
    hub.resume(queue="mail")
    hub.pause(task="send")
    assert names(hub, job.id) == ["task_paused"]
    hub.resume(task="send")
    hub.limit("queue:mail", at_most=1)
    assert f"waits for queue 'mail', 1 at once: job {running.id} runs" in job.why()
    hub.limit("task:send", at_most=1)
    assert names(hub, job.id) == ["queue_limited", "task_limited"]
    change(hub, "UPDATE taskhub.procrastinate_jobs SET gate = 5 WHERE id = %s", job.id)
    assert names(hub, job.id) == ["task_limited"]


def test_a_dated_job_a_snoozed_one_and_a_retried_one_are_told_apart(hub: Hub) -> None:
    @hub.task(name="flaky", queue="mail", retry=Backoff(max_attempts=5, first_seconds=600))
    async def flaky() -> None:
        raise ValueError("no\nroute")

    @hub.task(name="later", queue="mail")
    async def later() -> None:
        raise Snooze(600)

    dated = hub.tasks["send"].options(delay=86400 * 3).defer()
    retried, snoozed = flaky.defer(), later.defer()
    hub.run_worker(wait=False)
    new_worker(hub, tasks=("send", "flaky", "later"))

    assert "waits until " in dated.why()
    assert dated.why().endswith("UTC (in 3 d)")
    assert "waits to be retried, attempt 2 of 5 at " in retried.why()
    assert retried.why().endswith("the last one ended with ValueError: no route")
    assert "is snoozed until " in snoozed.why()
    assert [names(hub, j.id)[0] for j in (dated, retried, snoozed)] == [
        "scheduled", "retrying", "snoozed",
    ]  # fmt: skip


def test_who_is_missing_is_told(hub: Hub) -> None:
    job = hub.tasks["send"].defer()

    assert "none serves queue 'mail'; `taskhub worker --queue mail` starts one" in job.why()
    draining = new_worker(hub)
    change(hub, "UPDATE taskhub.workers SET drain = 'end' WHERE id = %s", draining)
    assert f"1 worker of queue 'mail' (id {draining}) drains; `taskhub worker" in job.why()
    assert names(hub, job.id) == ["only_draining"]
    change(
        hub,
        "UPDATE taskhub.workers SET drain = 'stay', draining_at = now() WHERE id = %s",
        draining,
    )
    assert f"(id {draining}) is drained and idle; `taskhub worker" in job.why()
    new_worker(hub, queues=["other"])
    assert names(hub, job.id) == ["only_draining"]
    new_worker(hub, queues=["mail"], tasks=("other",))
    assert names(hub, job.id) == ["task_not_known"]
    assert "that serve queue 'mail' does, only 1 that drains; start one" in job.why()
    new_worker(hub, queues=["mail"])
    assert names(hub, job.id) == ["starting"]
    assert job.why() == f"job {job.id} is ready and about to be claimed"


def test_a_job_behind_others_gets_an_estimate_from_the_pace_of_its_queue(hub: Hub) -> None:
    worker_id = new_worker(hub)
    send = hub.tasks["send"]
    first, second = send.defer(), send.defer()
    send.options(priority=1).defer()
    send.defer_many([{}] * 50)
    last = send.defer()
    run_by(hub, worker_id, first.id, second.id)

    slow = last.why()
    change(
        hub,
        "INSERT INTO taskhub.attempts (job_id, claim, attempt, outcome, queue_name, task_name, "
        "worker_id, finished_at) SELECT n, 9, 1, 'succeeded', 'mail', 'send', %s, "
        "now() - n * interval '0.5 s' FROM generate_series(1, 200) AS n",
        worker_id,
    )
    why = insight.why(hub, last.id)

    assert (
        "waits for a free slot: 51 ready jobs of queue 'mail' go first, 2 of 2 slots of 1 live"
        in slow
    )
    assert slow.endswith("the queue did too little in the last 5 min for an estimate")
    assert why.sentence.endswith("; about 26 s at 2 jobs/s, its pace of the last 5 min")
    assert why.reasons[0].facts["jobs_before"] == 51


def test_a_suspect_and_those_it_keeps_waiting_are_told(hub: Hub) -> None:
    new_worker(hub)
    guilty, other = hub.tasks["send"].defer(), hub.tasks["send"].defer()
    change(hub, "UPDATE taskhub.procrastinate_jobs SET lost = 3 WHERE id = %s", guilty.id)

    assert "waits for a worker that runs nothing else, since 3 workers were lost" in guilty.why()
    assert names(hub, other.id)[0] == "suspect_first"
    assert f"kept by job {guilty.id}, which waits to run alone" in other.why()


def test_a_row_that_a_users_transaction_holds_is_told_with_its_session(hub: Hub) -> None:
    new_worker(hub)
    job = hub.tasks["send"].defer()
    with psycopg.connect(db.conninfo(hub.url), application_name="report") as user:
        user.execute("SELECT FROM taskhub.procrastinate_jobs WHERE id = %s FOR UPDATE", [job.id])
        why = insight.why(hub, job.id)
        pid = user.info.backend_pid

    assert why.reasons[0].name == "row_locked"
    assert f"open transaction of session pid {pid} ('report'), idle in transaction since" in (
        why.sentence
    )
    assert names(hub, job.id) == ["starting"]


def test_how_a_job_ended_is_told_with_the_way_back(hub: Hub) -> None:
    @hub.task(name="bad", queue="mail")
    async def bad() -> None:
        raise Fail("no such order")

    done, dead, dropped = hub.tasks["send"].defer(), bad.defer(), hub.tasks["send"].defer()
    dropped.cancel(reason="sent by hand")
    hub.run_worker(wait=False)
    fingerprint = dead.attempts()[-1].fingerprint

    assert re.search(r"succeeded at .* UTC .*, on attempt 1$", done.why())
    assert "failed for good at " in dead.why()
    assert f"after 1 attempt: taskhub.queue.outcomes.Fail: no such order ({fingerprint}); " in (
        dead.why()
    )
    assert f"`taskhub retry {dead.id}` lets run again" in dead.why()
    assert "was cancelled at " in dropped.why()
    assert dropped.why().endswith("(sent by hand)")


def test_a_job_that_is_not_there_tells_what_may_have_become_of_it(hub: Hub) -> None:
    with hub.transaction():
        open_job = hub.tasks["send"].defer()
        with pytest.raises(UnknownJob, match="was pruned, or its transaction never committed"):
            insight.why(hub, open_job.id)
    hub.tasks["send"].defer()
    with pytest.raises(UnknownJob, match="the highest id that was ever given is 2"):
        insight.why(hub, 3)
    change(hub, "DELETE FROM taskhub.procrastinate_jobs WHERE id = 1")
    hub.tasks["send"].defer()
    with pytest.raises(UnknownJob, match="its history is past its 30 days and was pruned"):
        insight.why(hub, 1)


def test_a_worker_that_runs_a_job_is_told_while_it_does(hub: Hub) -> None:
    seen: list[str] = []

    @hub.task(name="self")
    def self_aware() -> None:
        seen.append(job.why())

    job = self_aware.defer()
    hub.run_worker(wait=False)

    assert re.match(
        rf"job {job.id} runs on worker \d+ \(.*, pid \d+\) since .*, lease until", seen[0]
    )


LARGE = ("procrastinate_jobs", "fair_keys")
NAMED_INDEXES = {
    "why_job": {"procrastinate_jobs_pkey"},
    "why_lock": {"jobs_occupant", "jobs_behind", "jobs_strict"},
    "why_limit": {"jobs_slots", "jobs_limited", "rules_pkey", "limit_states_pkey"},
    "why_turn": {"jobs_fair", "jobs_window", "fair_keys_turn", "fair_keys_pkey"},
    "why_ahead": {"jobs_ready"},
    "why_rules": {"jobs_running"},
    "why_workers": {"jobs_running"},
    "why_row_holder": {"procrastinate_jobs_pkey"},
    "why_suspect": {"jobs_suspect"},
    "why_unknown": {"procrastinate_jobs_pkey"},
}
PARAMETERS = {
    "job_id": 30_006, "lock": "a", "is_strict": False, "key": "k", "fair_key": "f", "priority": 0,
    "place": 30_006.0, "most": look.MOST, "queue": "mail", "task": "send", "version": 1,
    "is_set_aside": False, "worker_id": 1, "claim": 1, "since_seconds": 300.0,
}  # fmt: skip


def backlog(hub: Hub, jobs: int) -> None:
    """So many jobs ready, behind one lock, behind one limit, and dated, each."""
    with connected(hub) as connection:
        for lock, limit, gate in ((None, None, 0), ("a", None, 2), (None, "k", 3), (None, None, 1)):
            connection.execute(
                "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args, lock, limit_key, "
                "at_most, scheduled_at) SELECT 'mail', 'send', '{}', %s, %s, 1, "
                "CASE WHEN %s THEN now() + interval '1 h' END FROM generate_series(1, %s)",
                [lock, limit, gate == 1, jobs],
            )
        connection.execute(
            "UPDATE taskhub.procrastinate_jobs SET is_strict = true WHERE gate = 2 AND id % 2 = 0"
        )
        connection.execute(
            "INSERT INTO taskhub.procrastinate_jobs (queue_name, task_name, args, fair_key) "
            "SELECT 'mail', 'send', '{}', 'f' FROM generate_series(1, %s)",
            [jobs],
        )
        connection.execute(
            "INSERT INTO taskhub.fair_keys (queue_name, priority, fair_key, turn) "
            "SELECT 'mail', 0, CASE WHEN n = %s THEN 'f' ELSE 'f' || n END, n "
            "FROM generate_series(1, %s) AS n",
            [jobs, jobs],
        )
        connection.execute("ANALYZE taskhub.procrastinate_jobs, taskhub.fair_keys")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def test_each_statement_reads_by_its_index_and_stops_counting(hub: Hub) -> None:
    backlog(hub, 30_000)
    plans = {}
    with connected(hub) as connection:
        for setting in look.OFF:
            connection.execute(f"SET {setting} = off")
        for name in NAMED_INDEXES:
            query = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql.load(name, "taskhub")
            row = connection.execute(query.encode(), PARAMETERS).fetchone()
            assert row is not None
            plans[name] = row[0][0]["Plan"]

    for name, indexes in NAMED_INDEXES.items():
        used = {node.get("Index Name") for node in nodes(plans[name])}
        assert indexes <= used, (name, used)
        scans = [n for n in nodes(plans[name]) if n.get("Relation Name") in LARGE]
        assert "Seq Scan" not in {scan["Node Type"] for scan in scans}, name
        rows = [scan["Actual Rows"] * scan["Actual Loops"] for scan in scans]
        assert max(rows, default=0) <= look.MOST + 1, name
        assert plans[name]["Shared Hit Blocks"] + plans[name]["Shared Read Blocks"] < 2_500, name


def test_counting_stops_and_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "MOST", 20)
    monkeypatch.setattr(ready, "MOST", 20)
    monkeypatch.setattr(locks, "MOST", 20)
    monkeypatch.setattr(limits, "MOST", 20)
    new_worker(hub)
    send = hub.tasks["send"]
    send.defer_many([{}] * 30)
    last = send.defer()
    locked = [send.options(lock="a").defer() for _ in range(30)][-1]

    assert "more than 20 ready jobs of queue 'mail' go first" in last.why()
    assert "for job 32 to go first; more than 20 jobs behind that lock go first" in locked.why()


@pytest.mark.parametrize(
    ("pace", "told"), [(12.4, "12 jobs/s"), (0.1, "6 jobs/min"), (0.001, "4 jobs/h")]
)
def test_a_pace_is_told_in_a_unit_that_fits(pace: float, told: str) -> None:
    assert words.pace(pace) == told


def test_facts_are_json(hub: Hub) -> None:
    job = hub.tasks["send"].options(lock="a", limit="k", at_most=1).defer()

    for reason in insight.why(hub, job.id).reasons:
        json.dumps(reason.facts, default=str)
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS)
