"""The queue: knows Postgres and procrastinate, nothing of documents, mails or screens."""

from procrastinate.jobs import Status

from taskhub.queue.actions import cancel_within
from taskhub.queue.arguments import BadArgument
from taskhub.queue.blueprint import Blueprint
from taskhub.queue.context import ClaimLost, Context
from taskhub.queue.cron_actions import CronInUse, CronState, UnknownCron
from taskhub.queue.defer import OtherDatabase
from taskhub.queue.events import JobEvent
from taskhub.queue.fairness import FairKey
from taskhub.queue.hub import Hub
from taskhub.queue.items import Item
from taskhub.queue.jobs import Job, JobFailed, JobNotDone, UnknownJob
from taskhub.queue.limits import Limit
from taskhub.queue.outcomes import Fail, Retry, RetryAt, Snooze, Throttled
from taskhub.queue.progress import Progress
from taskhub.queue.rates import Breaker
from taskhub.queue.retries import Backoff
from taskhub.queue.schedules import BadSchedule
from taskhub.queue.secret import Encrypted, Secret
from taskhub.queue.sessions import AmbiguousTransaction
from taskhub.queue.task import Task
from taskhub.queue.unique import UniqueKeyBusy
from taskhub.queue.worker import Worker

__all__ = [
    "AmbiguousTransaction",
    "Backoff",
    "BadArgument",
    "BadSchedule",
    "Blueprint",
    "Breaker",
    "ClaimLost",
    "Context",
    "CronInUse",
    "CronState",
    "Encrypted",
    "Fail",
    "FairKey",
    "Hub",
    "Item",
    "Job",
    "JobEvent",
    "JobFailed",
    "JobNotDone",
    "Limit",
    "OtherDatabase",
    "Progress",
    "Retry",
    "RetryAt",
    "Secret",
    "Snooze",
    "Status",
    "Task",
    "Throttled",
    "UniqueKeyBusy",
    "UnknownCron",
    "UnknownJob",
    "Worker",
    "cancel_within",
]
