"""The stream of events: each once, the past in slices, nothing that does not fit."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from taskhub import Fail, Hub
from taskhub.queue import stream
from taskhub.queue.stream import Stream


def runs(hub: Hub, number: int, ago: timedelta, *, first_id: int = 1, task: str = "past") -> None:
    """So many runs that succeeded so long ago, a second apart."""
    with hub.engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO taskhub.attempts
                    (job_id, claim, attempt, outcome, queue_name, task_name, started_at, finished_at)
                SELECT n, 1, 1, 'succeeded', 'q', :task, at, at
                FROM (
                    SELECT :first + n AS n, now() - :ago + n * interval '1 second' AS at
                    FROM generate_series(0, :number - 1) AS n
                ) AS made
            """),
            {"first": first_id, "number": number, "ago": ago, "task": task},
        )


def told(events: list[stream.Event]) -> list[tuple[str, int]]:
    return [(event.event, event.job_id) for event in events]


def test_what_happens_is_given_once_and_in_order(hub: Hub) -> None:
    @hub.task(name="work", queue="q")
    async def work(n: int) -> None:
        if n == 2:
            raise Fail("two")

    seen = Stream(hub)
    assert seen.more() == []

    first, second = work.defer(1), work.defer(2)
    deferred = seen.more()
    hub.run_worker(wait=False)
    ended = seen.more()

    assert told(deferred) == [("deferred", first.id), ("deferred", second.id)]
    assert set(told(ended)) == {("succeeded", first.id), ("failed", second.id)}
    assert {e.error_message for e in ended} == {None, "two"}
    assert seen.more() == []


def test_a_job_that_came_and_went_between_two_looks_was_deferred_too(hub: Hub) -> None:
    @hub.task(name="work", queue="q")
    async def work() -> None: ...

    seen = Stream(hub)
    seen.more()
    job = work.defer()
    hub.run_worker(wait=False)

    assert told(seen.more()) == [("deferred", job.id), ("succeeded", job.id)]


def test_a_run_whose_transaction_was_open_for_a_while_is_not_missed(hub: Hub) -> None:
    seen = Stream(hub, since=timedelta(seconds=25), events=["succeeded"])
    runs(hub, 1, timedelta(seconds=10), first_id=2)
    assert told(seen.more()) == [("succeeded", 2)]

    runs(hub, 1, timedelta(seconds=20), first_id=1)

    assert told(seen.more()) == [("succeeded", 1)]
    assert seen.more() == []


def test_the_past_comes_in_slices_none_of_which_is_large(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST", 40)
    runs(hub, 300, timedelta(minutes=30))
    runs(hub, 5, timedelta(hours=20), first_id=1000, task="older")
    seen = Stream(hub, since=datetime.now(UTC) - timedelta(hours=24), tasks=["past", "old*"])

    slices = [seen.more()]
    while seen.has_more and len(slices) < 100:
        slices.append(seen.more())

    every = [event.job_id for part in slices for event in part]
    assert every == [*range(1000, 1005), *range(1, 301)]
    assert max(map(len, slices)) < 40
    assert len(slices) < 100
    assert not seen.is_behind


def test_it_says_when_more_happens_than_it_gives(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST", 10)
    seen = Stream(hub)
    seen.more()
    runs(hub, 30, timedelta(seconds=20))
    now = Stream(hub, since=timedelta(seconds=25))

    given = now.more()

    assert [event.job_id for event in given] == list(range(21, 31))
    assert now.is_behind


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"queues": ["q"]}, [1, 2]),
        ({"queues": ["other"]}, []),
        ({"tasks": ["pa*"]}, [1, 2]),
        ({"tasks": ["p?"]}, []),
        ({"events": ["succeeded"]}, [1, 2]),
        ({"events": ["failed", "lost"]}, []),
        ({"job_ids": [2]}, [2]),
    ],
)
def test_only_what_is_asked_for_is_given(
    hub: Hub, wanted: dict[str, list[str]], ids: list[int]
) -> None:
    runs(hub, 2, timedelta(seconds=10))

    events = Stream(hub, **wanted).newest(timedelta(minutes=1), most=10)  # type: ignore[arg-type]  # one of several

    assert [event.job_id for event in events] == ids
