"""The queue: knows Postgres and procrastinate, nothing of documents, mails or screens."""

from procrastinate.jobs import Status

from taskhub.queue.arguments import BadArgument
from taskhub.queue.blueprint import Blueprint
from taskhub.queue.context import ClaimLost, Context
from taskhub.queue.cron_actions import CronState, UnknownCron
from taskhub.queue.defer import OtherDatabase
from taskhub.queue.events import JobEvent
from taskhub.queue.fairness import FairKey
from taskhub.queue.hub import Hub
from taskhub.queue.jobs import Job, JobFailed, JobNotDone, UnknownJob
from taskhub.queue.limits import Limit
from taskhub.queue.outcomes import Fail, Retry, Snooze
from taskhub.queue.retries import Backoff
from taskhub.queue.schedules import BadSchedule
from taskhub.queue.sessions import AmbiguousTransaction
from taskhub.queue.task import Task
from taskhub.queue.worker import Worker

__all__ = [
    "AmbiguousTransaction",
    "Backoff",
    "BadArgument",
    "BadSchedule",
    "Blueprint",
    "ClaimLost",
    "Context",
    "CronState",
    "Fail",
    "FairKey",
    "Hub",
    "Job",
    "JobEvent",
    "JobFailed",
    "JobNotDone",
    "Limit",
    "OtherDatabase",
    "Retry",
    "Snooze",
    "Status",
    "Task",
    "UnknownCron",
    "UnknownJob",
    "Worker",
]
