"""What else holds a job back: tokens, breakers, feedback, strict order, versions, expiry, turns."""

import itertools
import random
import re
from datetime import timedelta
from typing import Any

import pytest
from tests.queue.staged import change, connected, names, new_worker, run_by

from taskhub import Backoff, Breaker, Context, Hub, Throttled
from taskhub.queue import Job, insight
from taskhub.queue.why import Why


def burst(hub: Hub) -> None:
    hub.run_worker(wait=False)


def facts(hub: Hub, job: Job[Any], name: str) -> dict[str, Any]:
    """The facts of one reason, which must be there."""
    [found] = [reason.facts for reason in insight.why(hub, job.id).reasons if reason.name == name]
    return found


# Locks


def test_what_goes_before_a_job_at_its_lock_is_what_runs_before_it(hub: Hub) -> None:
    ran: list[int] = []

    @hub.task(lock="a")
    async def note(ctx: Context) -> None:
        ran.append(ctx.job_id)

    @hub.task(lock="a", strict=True)
    async def post(ctx: Context) -> None:
        ran.append(ctx.job_id)

    some = random.Random(7)  # noqa: S311 - a mix that is the same every time
    jobs = [
        some.choice((note, post)).options(priority=some.randrange(4)).defer() for _ in range(24)
    ]
    new_worker(hub, tasks=("note", "post"))
    told = {job.id: facts(hub, job, "locked")["jobs_before"] for job in jobs}
    burst(hub)

    assert ran == sorted(told, key=lambda job_id: told[job_id])
    assert sorted(told.values()) == list(range(24))


def test_a_strict_job_names_the_one_before_it_that_waits_for_its_time(hub: Hub) -> None:
    @hub.task(lock="a", strict=True, retry=Backoff(max_attempts=5, first_seconds=600))
    async def post() -> None:
        raise ValueError("no\nroute")

    first, second, third = post.defer(), post.defer(), post.defer()
    burst(hub)
    new_worker(hub, tasks=("post",))

    assert names(hub, third.id) == ["strict_order"]
    assert third.why().startswith(
        f"job {third.id} waits in the strict order of lock 'a' for job {first.id}, which waits to be "
        "retried, attempt 2 of 5 at "
    )
    assert third.why().endswith("; 2 jobs behind that lock go first")
    assert facts(hub, third, "strict_order")["early_reason"]["reason"] == "retrying"
    assert facts(hub, second, "strict_order")["jobs_before"] == 1


# Limits


def test_a_job_without_tokens_tells_how_many_are_left_and_when_there_are_enough(hub: Hub) -> None:
    @hub.task(limit="api", tokens="{n}")
    async def call(n: int) -> None: ...

    hub.limit("api", per_hour=6, burst=5)
    call.defer(4)
    second, third = call.defer(3), call.defer(2)
    burst(hub)
    with connected(hub) as connection:
        row = connection.execute("SELECT wake_at FROM taskhub.limit_states").fetchone()
    assert row is not None

    found, last = facts(hub, second, "out_of_tokens"), facts(hub, third, "out_of_tokens")

    # As the engine reckons, and the next one by its own tokens later.
    assert abs(found["enough_at"] - row[0]) < timedelta(seconds=20)
    assert abs(last["enough_at"] - row[0] - timedelta(minutes=20)) < timedelta(seconds=20)
    assert (last["tokens_before"], last["first_id"], last["tokens_needed"]) == (3, second.id, 2)
    assert found["tokens_left"] == pytest.approx(1, abs=0.1)
    assert re.search(
        r"waits for tokens of limit 'api': it needs 2, 1(\.0\d)? of 5 left; 1 job behind that limit go "
        rf"first, job {second.id} next with 3; enough at .* UTC \(in 40 min\), at 6 tokens/h",
        third.why(),
    )


def test_promised_tokens_are_told_and_a_job_larger_than_the_bucket_waits_until_it_is_full(
    hub: Hub,
) -> None:
    @hub.task(name="call", limit="api", tokens="{n}")
    async def call(n: int) -> None: ...

    hub.limit("api", per_hour=6, burst=5)
    ready, large = call.defer(5), call.defer(50)
    change(hub, "SELECT taskhub.promote_limits_v1(ARRAY['api'])")
    new_worker(hub, tasks=("call",))

    assert names(hub, ready.id) == ["starting"]
    found = facts(hub, large, "out_of_tokens")
    assert (found["tokens_left"], found["tokens_promised"]) == (pytest.approx(0, abs=0.1), 5)
    assert "5 are promised to jobs that are ready and have not started; enough not before " in (
        large.why()
    )
    assert "(in 50 min)" in large.why()


def test_an_open_breaker_tells_since_when_until_when_and_why_and_then_who_tries(hub: Hub) -> None:
    @hub.task(limit="api")
    async def call() -> None:
        raise OSError("no\nroute")

    hub.limit("api", breaker=Breaker(failures=2, within=60, hold=600))
    for _ in range(2):
        call.defer()
    burst(hub)
    job, other = call.defer(), call.defer()

    assert names(hub, other.id)[0] == "breaker_open"
    assert re.search(
        r"waits for the breaker of limit 'api', open since .* UTC \(.* ago\) until .* UTC \(in 10 min\) "
        r"\(.*OSError: no route\); 1 job behind that limit go first",
        other.why(),
    )
    assert facts(hub, job, "breaker_open")["opens"] == 1

    change(hub, "UPDATE taskhub.limit_states SET open_until = now() - interval '1 s'")
    assert "at the next round of a worker it goes to try it" in job.why()
    assert f"at the next round of a worker job {job.id} goes to try it" in other.why()

    worker_id = new_worker(hub, tasks=("call",))
    change(hub, "SELECT taskhub.promote_limits_v1(ARRAY['api'])")
    run_by(hub, worker_id, job.id)
    assert f", to be tried by job {job.id}, which runs on worker {worker_id} (box, pid 77)" in (
        other.why()
    )
    assert facts(hub, other, "breaker_open")["probe_reason"]["reason"] == "running"

    hub.resume(key="api")
    assert "breaker_open" not in names(hub, other.id)


def test_a_number_that_a_429_lowered_is_told_with_what_it_was(hub: Hub) -> None:
    @hub.task(limit="api", at_most=4, feedback=True)
    async def call(ctx: Context, is_throttled: bool) -> None:
        if is_throttled:
            raise Throttled(3600)

    call.defer(is_throttled=True)
    burst(hub)
    jobs = [call.defer(is_throttled=False) for _ in range(3)]
    change(hub, "SELECT taskhub.promote_limits_v1(ARRAY['api'])")
    run_by(hub, new_worker(hub, tasks=("call",), slots=9), jobs[0].id, jobs[1].id)

    assert names(hub, jobs[2].id) == ["limited", "lowered_by_feedback"]
    assert (
        f"limit 'api', 2 at once for now: taken by jobs {jobs[0].id}, {jobs[1].id}; it also "
        in (jobs[2].why())
    )
    assert re.search(r"a 429 at .* UTC \(.* ago\) lowered it from 4, it is 2 now", jobs[2].why())


# Versions, expiry, turns, timeouts


def test_a_job_of_a_newer_version_than_any_worker_knows_says_so(hub: Hub) -> None:
    @hub.task(name="greet", version=3, queue="mail")
    async def greet() -> None: ...

    @hub.task(name="bow", queue="mail")
    async def bow() -> None: ...

    job, strange = greet.defer(), bow.defer()
    new_worker(hub, tasks=("greet",), versions={"greet": 2})
    new_worker(hub, queues=["other"], tasks=("greet", "bow"), versions={"greet": 9})

    told = (
        f"job {job.id} waits for a live worker that knows version 3 of task 'greet': those that serve queue "
        "'mail' know it up to version 2"
    )
    assert job.why() == told
    assert names(hub, strange.id) == ["task_not_known"]
    change(hub, "UPDATE taskhub.procrastinate_jobs SET gate = 4")
    assert job.why() == told
    assert names(hub, strange.id) == ["task_unknown"]

    new_worker(hub, tasks=("greet",), versions={"greet": 3})
    assert "1 do now: the next round of a worker lets it go on" in job.why()


def test_a_job_that_expires_tells_when_and_an_expired_one_that_it_did(hub: Hub) -> None:
    @hub.task(expires=600)
    async def notify() -> None: ...

    job, by_hand = notify.defer(), notify.defer()
    by_hand.cancel(reason="expired")
    assert names(hub, job.id) == ["no_worker", "expires"]
    assert re.search(
        r"it also expires at .* UTC \(in 10 min\) if it has not started by then$", job.why()
    )

    change(hub, "UPDATE taskhub.procrastinate_jobs SET expires_at = now() - interval '3 h'")
    assert names(hub, job.id)[0] == "expired"
    assert "and never starts: the next round of a worker ends it as cancelled" in job.why()

    burst(hub)
    assert re.search(
        r"was cancelled at .* UTC \(.* ago\) \(expired\): it had not started by .* UTC \(3 h ago\)$",
        job.why(),
    )
    change(
        hub,
        "UPDATE taskhub.procrastinate_jobs SET expires_at = now() + interval '1 h' WHERE id = %s",
        by_hand.id,
    )
    assert names(hub, by_hand.id) == ["cancelled"]


def test_a_turn_tells_how_many_keys_are_before_it_and_what_the_key_weighs(hub: Hub) -> None:
    @hub.task(queue="fair", fair_key="{key}")
    async def index(key: str) -> None: ...

    hub.weigh("fair", "a", 3)
    index.defer("a")
    early = index.defer("b")
    [index.defer("a") for _ in range(9)]
    late = index.defer("b")
    new_worker(hub, tasks=("index",))
    assert early.why().endswith("of weight 1, among those of queue 'fair': the next round of a worker "
                                "gives it one")  # fmt: skip

    change(hub, "SELECT taskhub.share_turns_v1(NULL, 2, 0)")
    found = facts(hub, late, "fair_turn")
    with connected(hub) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM taskhub.procrastinate_jobs WHERE gate = 0), (SELECT count(*) FROM "
            "taskhub.fair_keys AS k WHERE k.turn < (SELECT turn FROM taskhub.fair_keys WHERE fair_key = 'b'))"
        ).fetchone()

    assert (found["jobs_drawn"], found["keys_before"]) == row
    assert (found["weight"], found["jobs_before"]) == (1, 0)
    assert (
        "of fair key 'a', of weight 3, among those of queue 'fair'"
        in insight.why(hub, late.id - 1).sentence
    )
    assert " 4 jobs drawn already" in late.why()


def test_a_run_that_is_past_its_timeout_says_by_how_much(hub: Hub) -> None:
    @hub.task(timeout=60)
    def stuck() -> None: ...

    @hub.task(name="other")
    def other() -> None: ...

    job, beside = stuck.defer(), other.defer()
    worker_id = new_worker(hub, tasks=("stuck", "other"))
    run_by(hub, worker_id, job.id, beside.id)

    assert names(hub, job.id) == ["running", "overdue"]
    assert job.why().endswith("; it also is 2 min past its timeout")
    assert names(hub, beside.id) == ["running"]

    change(hub, "UPDATE taskhub.workers SET overdue = 1")
    assert job.why().endswith("; its worker has 1 overdue thread that cannot be stopped")
    assert "may be overdue" in beside.why()


# All of it together

KEYS = {
    "none": "SELECT",
    "full": "INSERT INTO taskhub.rules (name, at_most) VALUES ('k', 1)",
    "paused": "INSERT INTO taskhub.rules (name, paused_at) VALUES ('k', now())",
    "empty": "INSERT INTO taskhub.rules (name, rate, burst) VALUES ('k', 0.01, 1)",
    "open": "INSERT INTO taskhub.rules (name, breaker_failures) VALUES ('k', 1)",
    "probed": "INSERT INTO taskhub.rules (name, breaker_failures) VALUES ('k', 1)",
}
STATE = """
INSERT INTO taskhub.limit_states (
    name, tokens, filled_at, slots, most, halved_at, opened_at, open_until, probe_id
)
SELECT 'k', 0, now(), 1, 4, now(), now(), now() + CASE %s WHEN 'open' THEN 1 ELSE -1 END * interval '1 h',
    CASE %s WHEN 'probed' THEN %s END
WHERE %s <> 'none'
ON CONFLICT DO NOTHING
"""


@pytest.mark.parametrize("key", KEYS)
def test_every_mix_of_what_can_hold_a_job_has_an_answer_that_says_nothing_twice(
    hub: Hub, key: str
) -> None:
    @hub.task(name="send", queue="mail", timeout=60)
    async def send() -> None: ...

    worker_id = new_worker(hub, versions={"send": 2})
    holder, early, job = send.defer(), send.defer(), send.defer()
    run_by(hub, worker_id, holder.id)
    change(hub, "UPDATE taskhub.procrastinate_jobs SET limit_key = 'k' WHERE id = %s", holder.id)
    change(
        hub,
        "UPDATE taskhub.procrastinate_jobs SET gate = 1, lock = 'l', is_strict = true, "
        "scheduled_at = now() + interval '1 h' WHERE id = %s",
        early.id,
    )
    change(hub, KEYS[key])
    change(hub, STATE, key, key, holder.id, key)
    seen: set[str] = set()

    for gate, strict, version, expires in itertools.product(
        range(8), (False, True), (1, 3), (None, "-1 min", "1 min")
    ):
        change(
            hub,
            "UPDATE taskhub.procrastinate_jobs SET gate = %s, is_strict = %s, version = %s, lock = %s, "
            "limit_key = %s, fair_key = %s, expires_at = now() + %s::interval WHERE id = %s",
            gate, strict, version, "l" if gate == 2 else None, "k" if gate == 3 else None,
            "f" if gate == 6 else None, expires, job.id,
        )  # fmt: skip
        why: Why = insight.why(hub, job.id)
        told = [reason.name for reason in why.reasons]
        seen.update(told)
        assert len(set(told)) == len(told) >= 1, told
        assert re.match(rf"job {job.id} \w+[ ,].{{4,}}", why.sentence), why.sentence
        assert "None" not in why.sentence, why.sentence
        assert ("expires" in told) == (expires == "1 min"), told
        assert (told[0] == "expired") == (expires == "-1 min"), told

    assert {"strict_order", "version_too_new", "fair_turn", "expired", "expires"} <= seen
    at_key = {
        "none": {"limited"}, "full": {"limited"}, "paused": {"limit_paused"},
        "empty": {"out_of_tokens", "limited", "lowered_by_feedback"}, "open": {"breaker_open"},
        "probed": {"breaker_open"},
    }  # fmt: skip
    assert at_key[key] <= seen
