"""Cached results: the same task with the same arguments is not run again while its result is fresh."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from taskhub import Fail, Hub, Job, Task
from taskhub.queue import BadArgument
from taskhub.settings import Settings


@pytest.fixture
def runs() -> list[Any]:
    return []


@pytest.fixture
def add(hub: Hub, runs: list[Any]) -> Task[..., Any]:
    @hub.task(name="add", cache="1h")
    def add(a: float, b: int = 1, *, tags: set[str] = frozenset()) -> float:  # type: ignore[assignment]  # a frozenset is what a default may be
        runs.append((a, b))
        return a + b

    return add


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def age(hub: Hub, seconds: float) -> None:
    with hub.engine.begin() as connection:
        statement = (
            "UPDATE taskhub.attempts SET finished_at = finished_at - make_interval(secs => :s)"
        )
        connection.execute(text(statement), {"s": seconds})


def test_a_fresh_result_is_there_at_once(hub: Hub, add: Task[..., Any], runs: list[Any]) -> None:
    first = add.defer(3, 5)
    work(hub)
    second = add.defer(3, 5)

    assert (second.is_new, second.id) == (False, first.id)
    assert second.result(timeout=0) == 8
    assert runs == [(3, 5)]


def test_a_result_is_fresh_from_its_success_on_and_no_longer_than_the_window(
    hub: Hub, add: Task[..., Any]
) -> None:
    first = add.defer(3)
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub.unique_keys SET taken_at = now() - interval '1 day'")
        )
    work(hub)
    age(hub, 3500)
    fresh = add.defer(3)
    shorter = add.options(cache=60).defer(3)
    longer = add.options(cache="2h").defer(4)
    age(hub, 200)

    assert fresh == first
    assert shorter.is_new
    assert longer.is_new
    work(hub)
    age(hub, 3700)
    assert add.defer(3).is_new
    assert add.options(cache=timedelta(hours=2)).defer(4) == longer


def test_while_it_waits_or_runs_it_is_one_job(hub: Hub) -> None:
    seen: list[Job[Any]] = []

    @hub.task(cache=60)
    def task() -> None:
        seen.append(task.options(autocommit=True).defer())

    first = task.defer()
    second = task.defer()
    work(hub)

    assert [second, *seen] == [first, first]


def test_a_failure_is_not_kept(hub: Hub, runs: list[Any]) -> None:
    @hub.task(cache="1h")
    def task() -> int:
        runs.append(1)
        if len(runs) == 1:
            raise Fail("the first time")
        return 7

    first = task.defer()
    work(hub)
    second = task.defer()
    work(hub)

    assert second.is_new
    assert first != second
    assert task.defer().result(timeout=0) == 7


def test_the_same_arguments_are_the_same_however_they_are_given(
    hub: Hub, add: Task[..., Any]
) -> None:
    first = add.defer(3, 1)

    same = [
        add.defer(3), add.defer(3.0), add.defer(b=1, a=3), add.defer(a="3", tags=set()),
        add.defer_many([{"a": 3}])[0],
    ]  # fmt: skip
    others = [add.defer(3, 2), add.defer(4), add.defer(3, tags={"x"})]

    assert {job.id for job in same} == {first.id}
    assert [job.is_new for job in others] == [True, True, True]


class Backwards(set[str]):
    """A set as another process may have it, where text has other hashes."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(super().__iter__(), reverse=True))


def test_a_set_is_the_same_in_every_process(hub: Hub, add: Task[..., Any]) -> None:
    first = add.defer(3, tags={"a", "b", "c"})

    assert add.defer(3, tags=Backwards({"a", "b", "c"})) == first


def test_a_result_cannot_be_asked_for_that_is_deleted_by_then(settings: Settings) -> None:
    hub = Hub(settings=settings)

    @hub.task(cache="31d")
    def task() -> None: ...

    with pytest.raises(
        BadArgument, match=r"cache must be at most history_days, 30 days, .* got 31 days"
    ):
        task.defer()
    assert task.options(cache="30d").defer().is_new
    hub.close()


def test_one_job_can_do_without_the_cache(hub: Hub, add: Task[..., Any]) -> None:
    first = add.defer(3)
    again = add.options(cache=None).defer(3)
    keyed = add.options(cache=None, unique="sum").defer(3)

    assert again.is_new
    assert keyed.is_new
    assert add.defer(3) == first
