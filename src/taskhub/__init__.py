"""taskhub: background jobs that commit with your data, on the one Postgres you already have."""

from taskhub.queue import (
    Backoff,
    Blueprint,
    Breaker,
    Context,
    Encrypted,
    Fail,
    Hub,
    Item,
    Job,
    Retry,
    RetryAt,
    Secret,
    Snooze,
    Status,
    Task,
    Throttled,
)

__all__ = [
    "Backoff",
    "Blueprint",
    "Breaker",
    "Context",
    "Encrypted",
    "Fail",
    "Hub",
    "Item",
    "Job",
    "Retry",
    "RetryAt",
    "Secret",
    "Snooze",
    "Status",
    "Task",
    "Throttled",
]
