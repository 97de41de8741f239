"""What stands as failed, by what went wrong: since when, where, and which jobs."""

from datetime import timedelta

import pytest
from tests.queue.staged import change

from taskhub import Backoff, Fail, Hub
from taskhub.queue import actions, insight
from taskhub.queue.insight import failing


@pytest.fixture
def failed(hub: Hub) -> list[int]:
    """Four jobs that met the same error in two tasks and two queues, an hour apart, and one of another."""

    def charge() -> None:
        raise Fail("no such account")

    for name, queue in (("bill", "money"), ("refund", "slow")):
        hub.task(name=name, queue=queue)(charge)

    @hub.task(name="send", queue="mail", retry=Backoff(max_attempts=2, first_seconds=0.001))
    def send(order_id: int) -> None:
        raise ValueError(f"no route for {order_id}")

    ids = [hub.tasks[name].defer().id for name in ("bill", "refund", "bill", "refund")]
    ids.append(send.defer(7).id)
    while any(job.status == "todo" for job in insight.jobs(hub)):
        hub.run_worker(wait=False)
    for hours, job_id in enumerate(ids[:4], start=1):
        change(
            hub,
            "UPDATE taskhub.procrastinate_jobs SET finished_at = now() - %s * interval '1 hour' "
            "WHERE id = %s",
            hours,
            job_id,
        )
    return ids


def test_a_group_tells_since_when_until_when_and_where(hub: Hub, failed: list[int]) -> None:
    found = insight.failures(hub)

    alike, other = found.groups
    assert (found.jobs, found.more_groups, found.searched) == (5, 0, None)
    assert (alike.failures, other.failures) == (4, 1)
    assert (alike.error_class, alike.error_message) == (
        "taskhub.queue.outcomes.Fail",
        "no such account",
    )
    assert (alike.tasks, alike.queues) == (["bill", "refund"], ["money", "slow"])
    assert alike.newest_at - alike.first_at == pytest.approx(
        timedelta(hours=3), abs=timedelta(seconds=2)
    )
    assert alike.newest_job_id == failed[0]
    assert (other.tasks, other.queues, other.error_message) == (
        ["send"],
        ["mail"],
        "no route for 7",
    )


def test_the_filter_of_a_group_finds_its_jobs(hub: Hub, failed: list[int]) -> None:
    alike, other = insight.failures(hub).groups

    assert [job.id for job in insight.jobs(hub, alike.filter)] == failed[3::-1]
    assert [job.id for job in insight.jobs(hub, other.filter)] == failed[4:]


def test_what_failed_before_the_time_asked_for_is_left_out(hub: Hub, failed: list[int]) -> None:
    found = insight.failures(hub, since=timedelta(hours=2, minutes=30))

    assert [group.failures for group in found.groups] == [2, 1]
    assert insight.failures(hub, since=timedelta(0)).groups == []


def test_a_group_that_is_retried_stands_no_longer(hub: Hub, failed: list[int]) -> None:
    _, other = insight.failures(hub).groups

    actions.retry(hub, failed[:4])

    assert insight.failures(hub).groups == [other]


def test_jobs_whose_workers_were_lost_with_them_are_a_group_of_their_task(
    hub: Hub, failed: list[int]
) -> None:
    change(hub, "UPDATE taskhub.attempts SET error_class = NULL, outcome = 'lost'")

    found = insight.failures(hub)

    told = sorted((g.failures, g.tasks, g.error_class) for g in found.groups)
    assert told == [(1, ["send"], None), (2, ["bill"], None), (2, ["refund"], None)]
    assert {group.filter.tasks for group in found.groups} == {("bill",), ("refund",), ("send",)}


def test_what_killed_its_workers_is_a_group_by_which_only_it_is_found(
    hub: Hub, failed: list[int]
) -> None:
    deadly = hub.tasks["bill"].defer().id
    change(
        hub,
        "UPDATE taskhub.procrastinate_jobs SET status = 'doing', claim = 1, lost = 4, worker_id = 4711 "
        "WHERE id = %s",
        deadly,
    )
    hub.write("rescue_jobs", lease_seconds=0.0, worker_ids=None, what="no heartbeat")

    [group] = [g for g in insight.failures(hub).groups if g.error_class == "WorkerLost"]

    assert group.fingerprint is not None
    assert [job.id for job in insight.jobs(hub, group.filter)] == [deadly]


def test_looking_ends_and_the_answer_says_so(
    hub: Hub, failed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failing, "MOST_JOBS", 3)

    found = insight.failures(hub, limit=1)

    assert (found.jobs, found.more_groups, found.searched) == (3, 1, 3)
    assert [group.failures for group in found.groups] == [2]
    assert insight.failures(hub, since=timedelta(0)).searched == 3
