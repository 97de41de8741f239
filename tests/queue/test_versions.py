"""Versions of a task's arguments."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from taskhub import Backoff, Hub, Status, Task
from taskhub.queue import insight
from taskhub.queue.jobs import Job


@pytest.fixture
def newer(hub: Hub) -> Iterator[Hub]:
    """A hub of the same database, of a program that came later."""
    made = Hub(settings=hub.settings)
    yield made
    made.close()


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def why(job: Job[Any]) -> str:
    assert job.status() is Status.FAILED
    assert len(job.attempts()) == 1
    return job.attempts()[0].error_message or ""


def first_version(hub: Hub) -> Job[Any]:
    @hub.task(name="greet")
    def greet(name: str) -> None: ...

    return greet.defer(name="Ada Lovelace")


def third_version(newer: Hub, **options: Any) -> list[tuple[str, str, int]]:
    """What its runs were given."""
    ran: list[tuple[str, str, int]] = []

    async def run(first: str, last: str, times: int) -> None:
        ran.append((first, last, times))

    greet: Task[..., Any] = newer.task(name="greet", version=3, retry=Backoff(), **options)(run)

    @greet.upcast(1)
    def split(arguments: dict[str, Any]) -> dict[str, Any]:
        first, last = arguments.pop("name").split()
        return {**arguments, "first": first, "last": last}

    @greet.upcast(2)
    def count(arguments: dict[str, Any]) -> dict[str, Any]:
        return {**arguments, "times": 1}

    return ran


def test_a_job_of_an_older_version_is_brought_up_step_by_step(hub: Hub, newer: Hub) -> None:
    job = first_version(hub)
    ran = third_version(newer)
    newer.tasks["greet"].defer(first="Alan", last="Turing", times=2)

    work(newer)

    assert ran == [("Ada", "Lovelace", 1), ("Alan", "Turing", 2)]
    detail = insight.job(hub, job.id)
    assert (detail.args, detail.version) == ({"name": "Ada Lovelace"}, None)


def test_a_job_of_a_newer_version_waits_for_a_worker_that_knows_it(hub: Hub, newer: Hub) -> None:
    first_version(hub)
    ran = third_version(newer)
    job = newer.tasks["greet"].defer(first="Alan", last="Turing", times=2)

    work(hub)
    work(hub)
    assert job.status() is Status.TODO
    assert job.attempts() == []
    assert insight.job(hub, job.id).version == 3

    work(newer)
    assert ran == [("Alan", "Turing", 2)]
    assert insight.job(hub, job.id).version == 3


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (
            None,
            "the step from version 1 to 2 of task greet is missing; declare it by @task.upcast(1)",
        ),
        (
            lambda given: given["surname"],
            "the step from version 1 to 2 of task greet failed: KeyError: 'surname'",
        ),
        (lambda _: [], "the step from version 1 to 2 of task greet must return a dict, got list"),
        (lambda _: {"name": object()}, "what the steps made is no JSON"),
        (lambda _: {"nome": 1}, "arguments do not fit task greet"),
    ],
)
def test_a_step_that_is_missing_or_fails_is_the_jobs_failure(
    hub: Hub, newer: Hub, step: Any, told: str
) -> None:
    job = first_version(hub)

    @newer.task(name="greet", version=2, retry=Backoff())
    def greet(name: str) -> None: ...

    if step is not None:
        greet.upcast(1)(step)
    work(newer)

    assert why(job).startswith(told)


def test_many_at_once_and_schedules_carry_the_version(hub: Hub) -> None:
    @hub.cron("0 2 * * *")
    @hub.task(version=4)
    async def task() -> None: ...

    task.defer_many([{}] * 250)
    task.defer_many([{}] * 2)
    hub.crons.run(task.name)

    with hub.engine.connect() as connection:
        found = connection.execute(
            text("SELECT version, count(*) FROM taskhub.procrastinate_jobs GROUP BY version")
        ).all()
    assert [tuple(row) for row in found] == [(4, 253)]


def test_a_version_or_a_step_that_can_be_none_is_refused(hub: Hub) -> None:
    with pytest.raises(ValueError, match="version must be from 1 to 2147483647, got 0"):
        hub.task(name="a", version=0)(lambda: None)

    @hub.task(name="b", version=2)
    def task() -> None: ...

    with pytest.raises(ValueError, match="a version below 2, the task's own, got 2"):
        task.upcast(2)
    task.upcast(1)(lambda arguments: arguments)
    with pytest.raises(ValueError, match="has a step from version 1 already"):
        task.upcast(1)
