"""What a task raises to say what happens next."""

from datetime import datetime


class Outcome(Exception):
    """What a task raises on purpose; anything else it raises is a failure of its code."""


class Retry(Outcome):
    """Run this job again, using up an attempt.

    Args:
        in_seconds: wait this long, on the database's clock; 0 is at once.
        at: or wait until this time, which must carry a time zone.
    """

    def __init__(self, *, in_seconds: float | None = None, at: datetime | None = None) -> None:
        if in_seconds is not None and at is not None:
            raise ValueError("give in_seconds or at, not both")
        if in_seconds is not None and in_seconds < 0:
            raise ValueError(f"in_seconds must be 0 or more, got {in_seconds}")
        if at is not None and at.utcoffset() is None:
            raise ValueError(f"at must carry a time zone, got {at.isoformat()}")
        super().__init__("the task asked to be run again")
        self.in_seconds = in_seconds
        self.at = at


class RetryAt(Retry):
    """Run this job again at a time, which must carry a time zone, using up an attempt."""

    def __init__(self, when: datetime) -> None:
        if not isinstance(when, datetime):
            raise TypeError(f"when must be a datetime, got {when!r:.100}")
        super().__init__(at=when)


class Snooze(Outcome):
    """Put this job back for `seconds`, using up no attempt: nothing went wrong, it is too early."""

    def __init__(self, seconds: float) -> None:
        if seconds <= 0:
            raise ValueError(f"seconds must be above 0, got {seconds}")
        super().__init__(f"the task asked to be run again in {seconds} seconds")
        self.seconds = seconds


class Throttled(Snooze):
    """Put this job back because a provider said "too many requests", using up no attempt.

    Where its limit has feedback, fewer jobs of the key run at once from now on.

    Args:
        retry_after: seconds, as the header Retry-After has them.
    """

    def __init__(self, retry_after: float = 1.0) -> None:
        if not 0 <= retry_after < float("inf"):
            raise ValueError(f"retry_after must be 0 or more and finite, got {retry_after}")
        super().__init__(retry_after or 0.001)
        self.retry_after = retry_after


class Fail(Outcome):
    """End this job as failed, whatever `retry=` says: another try would not help."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
