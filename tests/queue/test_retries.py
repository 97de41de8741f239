"""What a task raises to say when it runs again, and what of it is retried."""

from datetime import UTC, datetime

import pytest

from taskhub import Backoff, Hub, Retry, RetryAt
from taskhub.queue import insight


class Wrong(LookupError):
    """A kind of LookupError."""


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


@pytest.mark.parametrize("executor", ["async", "thread"])
@pytest.mark.parametrize(
    ("error", "outcomes"),
    [
        (KeyError, ["retried", "failed"]),
        (Wrong, ["failed"]),
        (ValueError, ["failed"]),
    ],
    ids=["a kind of what is retried", "never, though a kind of it", "something else"],
)
def test_retry_on_and_never_on_count_subclasses(
    hub: Hub, executor: str, error: type[Exception], outcomes: list[str]
) -> None:
    retry = Backoff(max_attempts=2, first_seconds=0.01, on=(LookupError,), never_on=(Wrong,))

    def breaks() -> None:
        raise error

    async def breaks_async() -> None:
        raise error

    task = hub.task(name="breaks", retry=retry)(breaks if executor == "thread" else breaks_async)
    job = task.defer()
    while job.status().value == "todo":
        work(hub)

    assert [a.outcome for a in job.attempts()] == outcomes


def test_retry_at_runs_the_job_again_at_that_time(hub: Hub) -> None:
    when = datetime(2999, 1, 1, tzinfo=UTC)

    @hub.task
    async def later() -> None:
        raise RetryAt(when)

    job = later.defer()
    work(hub)

    found = insight.job(hub, job.id)
    assert (found.status, found.scheduled_at, found.attempts) == ("todo", when, 1)
    assert isinstance(RetryAt(when), Retry)


def test_retry_at_without_a_zone_or_no_time_is_refused_where_it_is_raised() -> None:
    with pytest.raises(ValueError, match="at must carry a time zone, got 2999-01-01"):
        RetryAt(datetime(2999, 1, 1))  # noqa: DTZ001 - the point
    with pytest.raises(TypeError, match="when must be a datetime, got 5"):
        RetryAt(5)  # type: ignore[arg-type]  # the point
