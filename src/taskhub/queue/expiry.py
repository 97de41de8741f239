"""How long a job may wait: what `expires=` stands for."""

from datetime import datetime, timedelta
from typing import Any

from taskhub.queue.storable import BadArgument, check_at

MAX_SECONDS = 1e10


def read_expires(
    value: Any, delay_seconds: float | None, at: datetime | None
) -> tuple[float | None, datetime | None]:
    """Seconds from now, or a time: one of the two, or neither.

    Raises:
        TypeError: it is none of these.
        BadArgument: it is not above 0, has no zone, or is not after the time from which the job may run.
    """
    if value is None:
        return None, None
    if isinstance(value, datetime):
        expires_at = check_at(value, "expires")
        if at is not None and expires_at <= at:
            raise BadArgument(f"expires must be after at, got {value.isoformat()}")
        return None, expires_at
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError(f"expires must be seconds, a timedelta or a datetime, got {value!r:.100}")
    if not 0 < seconds < MAX_SECONDS:
        raise BadArgument(f"expires must be above 0 seconds, below 1e10, got {seconds}")
    if delay_seconds is not None and seconds <= delay_seconds:
        raise BadArgument(f"expires must be above delay, got {seconds} and {delay_seconds} seconds")
    return float(seconds), None
