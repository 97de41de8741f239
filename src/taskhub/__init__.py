"""taskhub: background jobs that commit with your data, on the one Postgres you already have."""

from taskhub.queue import (
    Backoff,
    Blueprint,
    Context,
    Fail,
    Hub,
    Job,
    Retry,
    RetryAt,
    Snooze,
    Status,
    Task,
)

__all__ = [
    "Backoff",
    "Blueprint",
    "Context",
    "Fail",
    "Hub",
    "Job",
    "Retry",
    "RetryAt",
    "Snooze",
    "Status",
    "Task",
]
