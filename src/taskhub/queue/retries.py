"""When a failed job runs again."""

import random
from dataclasses import dataclass
from datetime import datetime

from procrastinate import exceptions, jobs, retry
from procrastinate.retry import BaseRetryStrategy, RetryDecision

from taskhub.queue.outcomes import Fail, Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Wait longer after every failure, up to a ceiling.

    Args:
        max_attempts: runs in all, the first one included (Celery's max_retries=4 is 5 here).
        jitter: the share of each wait that is drawn by chance, 0 to 1, so that jobs which failed
            together do not come back together.
        on: retry only when one of these was raised; empty means any exception.
        never_on: fail at once when one of these was raised, even if `on` has it too.
    """

    max_attempts: int = 5
    first_seconds: float = 2.0
    factor: float = 2.0
    ceiling_seconds: float = 3600.0
    jitter: float = 0.25
    on: tuple[type[BaseException], ...] = ()
    never_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be 1 or more, got {self.max_attempts}")
        if self.first_seconds <= 0:
            raise ValueError(f"first_seconds must be above 0, got {self.first_seconds}")
        if self.factor < 1:
            raise ValueError(f"factor must be 1 or more, got {self.factor}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be from 0 to 1, got {self.jitter}")

    def seconds_before(self, attempt: int) -> float:
        """Seconds to wait before attempt number `attempt`, where 1 is the first retry; no jitter."""
        # 2.0 ** 1024 overflows before min() can help, so the exponent stops at 64.
        return min(self.first_seconds * self.factor ** min(attempt - 1, 64), self.ceiling_seconds)

    def allows(self, error: BaseException, attempts: int) -> bool:
        """Whether a job that was run `attempts` times before and now raised `error` runs again."""
        if attempts + 1 >= self.max_attempts or isinstance(error, self.never_on):
            return False
        return not self.on or isinstance(error, self.on)

    def wait(self, attempts: int) -> float:
        """Seconds to wait after the failure of a job that was run `attempts` times before."""
        planned = self.seconds_before(attempts + 1)
        return planned * (1 - self.jitter * random.random())  # noqa: S311 - no secret depends on it


RetryValue = bool | int | Backoff | BaseRetryStrategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """How a job that failed comes back; None leaves what it has."""

    in_seconds: float | None = None
    at: datetime | None = None
    priority: int | None = None
    queue: str | None = None
    lock: str | None = None


def strategy(value: RetryValue) -> Backoff | BaseRetryStrategy | None:
    """What `retry=` stands for: a number is retries after the first run, as in procrastinate."""
    if isinstance(value, Backoff):
        return value
    if not isinstance(value, bool | int | BaseRetryStrategy):
        raise TypeError(f"retry must be a number, True, Backoff or RetryStrategy, got {value!r}")
    return retry.get_retry_strategy(value)


def decide(
    error: BaseException, job: jobs.Job, wanted: Backoff | BaseRetryStrategy | None
) -> Again | None:
    """How `job` comes back after `error`, or None: it has failed for good.

    `job.attempts` counts the runs before this one.
    """
    if isinstance(error, Retry):
        return Again(in_seconds=error.in_seconds or 0.0, at=error.at)
    if isinstance(error, Fail) or wanted is None:
        return None
    if isinstance(wanted, Backoff):
        return (
            Again(in_seconds=wanted.wait(job.attempts))
            if wanted.allows(error, job.attempts)
            else None
        )
    asked = wanted.get_retry_exception(exception=error, job=job)
    return None if asked is None else _from_decision(asked)


def _from_decision(asked: exceptions.JobRetry) -> Again:
    decision: RetryDecision = asked.retry_decision
    return Again(
        at=decision.retry_at,
        in_seconds=None if decision.retry_at else 0.0,
        priority=decision.priority,
        queue=decision.queue,
        lock=decision.lock,
    )
