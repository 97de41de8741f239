"""Bringing dead letters back: which, how many, and at what rate."""

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from taskhub import Fail, Hub, Job, Status
from taskhub.queue import actions, insight
from taskhub.queue.actions import frozen
from taskhub.queue.audit import By
from taskhub.queue.filters import JobFilter


@pytest.fixture
def dead(hub: Hub) -> dict[str, list[int]]:
    """Five dead letters of two tasks, queues and causes: ids by the task's name."""

    @hub.task(name="mail_send", queue="mail")
    async def send(n: int) -> None:
        raise ValueError(f"timeout of order {n}")

    @hub.task(name="index", queue="slow")
    async def index(n: int) -> None:
        raise Fail("no such document")

    jobs = {
        task.name: [task.defer(n).id for n in range(count)]
        for task, count in ((send, 3), (index, 2))
    }
    hub.run_worker(wait=False)
    return jobs


def todo(hub: Hub) -> list[int]:
    with hub.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT id FROM taskhub.procrastinate_jobs WHERE status = 'todo' ORDER BY id")
        )
        return list(rows.scalars())


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"queues": ["mail"]}, ["mail_send"]),
        ({"tasks": ["ind*"]}, ["index"]),
        ({"error": "timeout of"}, ["mail_send"]),
        ({"error": "Fail"}, ["index"]),
        ({"since": timedelta(hours=1)}, ["mail_send", "index"]),
        ({"queues": ["mail"], "tasks": ["index"]}, []),
    ],
)
def test_each_filter_takes_its_own_and_a_dry_run_none(
    hub: Hub, dead: dict[str, list[int]], wanted: dict[str, Any], found: Sequence[str]
) -> None:
    ids = sorted(job_id for name in found for job_id in dead[name])
    asked = JobFilter(**wanted)

    assert actions.retry_failed(hub, asked, dry_run=True) == len(ids)
    assert todo(hub) == []
    assert actions.retry_failed(hub, asked) == len(ids)
    assert todo(hub) == ids


def test_a_fingerprint_takes_one_kind_of_failure(hub: Hub, dead: dict[str, list[int]]) -> None:
    one = Job(dead["index"][0], "index", hub).attempts()[-1].fingerprint

    assert actions.retry_failed(hub, JobFilter(fingerprint=one)) == 2
    assert todo(hub) == dead["index"]


def due_in_seconds(hub: Hub) -> list[tuple[float, int]]:
    with hub.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT extract(epoch FROM scheduled_at - now())::float8, gate "
                "FROM taskhub.procrastinate_jobs WHERE status = 'todo' ORDER BY id"
            )
        )
        return [(row[0], row[1]) for row in rows]


def test_a_rate_spaces_the_dates_on_the_databases_clock_across_chunks(
    hub: Hub, dead: dict[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "CHUNK", 2)
    heard: list[int] = []

    done = actions.retry_failed(hub, JobFilter(), jobs_per_second=0.01, progress=heard.append)

    due = due_in_seconds(hub)
    assert (done, heard) == (5, [2, 4, 5])
    assert [later[0] - sooner[0] for sooner, later in pairwise(due)] == pytest.approx([100] * 4)
    assert -10 < due[0][0] <= 0
    assert [gate for _, gate in due] == [0, 1, 1, 1, 1]


def test_jobs_with_a_lock_that_are_spread_out_wait_for_their_date_first(hub: Hub) -> None:
    @hub.task(name="bad", lock="a")
    async def bad() -> None:
        raise Fail("no")

    jobs = [bad.defer() for _ in range(3)]
    for _ in jobs:
        hub.run_worker(wait=False)
    assert {job.status() for job in jobs} == {Status.FAILED}

    actions.retry_failed(hub, JobFilter(), jobs_per_second=0.5)

    assert [gate for _, gate in due_in_seconds(hub)] == [2, 1, 1]


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_a_rate_that_cannot_be_is_refused_before_anything_is_changed(
    hub: Hub, dead: dict[str, list[int]], rate: float
) -> None:
    with pytest.raises(ValueError, match="jobs_per_second must be above 0 and finite, got"):
        actions.retry_failed(hub, JobFilter(), jobs_per_second=rate)

    assert todo(hub) == []


def test_what_was_previewed_is_what_is_retried(hub: Hub, dead: dict[str, list[int]]) -> None:
    preview = actions.freeze(hub, JobFilter(queues=("mail",)))
    thawed = actions.thaw(preview.token)
    # Another one of the same kind fails, and one of the frozen is retried and fails, after the preview.
    hub.tasks["mail_send"].defer(9)
    actions.retry(hub, dead["mail_send"][:1])
    hub.run_worker(wait=False)

    done = actions.retry_frozen(hub, thawed, by=By("ann", "api", "route is back"))

    assert preview.count == 3
    assert [line.id for line in preview.samples] == dead["mail_send"][::-1]
    assert thawed == dataclasses.replace(preview, samples=())
    assert (done.matched, done.changed) == (2, 2)
    assert todo(hub) == dead["mail_send"][1:]
    [row] = insight.audit(hub)
    assert (row.action, row.actor, row.source, row.reason) == (
        "retry-failed", "ann", "api", "route is back",
    )  # fmt: skip
    assert (row.matched, row.changed, row.outcome, row.error) == (2, 2, "done", None)
    assert row.target["filter"].startswith("state:failed queue:mail until:")


def test_all_that_waits_and_fits_is_cancelled_and_nothing_else(
    hub: Hub, dead: dict[str, list[int]]
) -> None:
    send = hub.tasks["mail_send"]
    waiting = [send.defer(n).id for n in range(3)]
    frozen = actions.freeze(hub, JobFilter(queues=["mail"]), "cancel", limit=2)

    done = actions.cancel_frozen(hub, frozen, reason="sold out", by=By("ann", "api"))

    assert frozen.count == 2
    assert done.changed == 2
    assert todo(hub) == waiting[2:]
    assert Job(waiting[0], "mail_send", hub).attempts()[-1].error_message == "sold out"
    assert actions.freeze(hub, JobFilter(statuses=["succeeded"]), "cancel").count == 0


def test_cancelled_jobs_come_back_only_where_somebody_asks_for_them(
    hub: Hub, dead: dict[str, list[int]]
) -> None:
    job = hub.tasks["index"].defer(7)
    job.cancel()

    assert actions.freeze(hub, JobFilter(queues=["slow"])).count == 2
    assert actions.freeze(hub, JobFilter(statuses=["cancelled"])).samples[0].id == job.id


def test_a_change_that_is_broken_off_says_how_far_it_came(
    hub: Hub, dead: dict[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "CHUNK", 2)

    def break_off(jobs: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        actions.retry_frozen(
            hub, actions.freeze(hub, JobFilter()), by=By("ann", "cli"), progress=break_off
        )

    [row] = insight.audit(hub)
    assert (row.matched, row.changed, row.outcome, row.error) == (
        5, 2, "partly", "KeyboardInterrupt",
    )  # fmt: skip


@pytest.mark.parametrize("token", ["", "x", "e30=", "eyJ3YW50ZWQiOiAiIn0="])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token must be one of a preview"):
        actions.thaw(token)


def test_jobs_frozen_for_one_change_are_not_given_another(
    hub: Hub, dead: dict[str, list[int]]
) -> None:
    with pytest.raises(ValueError, match="jobs must be frozen for 'cancel', got 'retry'"):
        actions.cancel_frozen(hub, actions.freeze(hub, JobFilter()))
