"""What the queue holds, as the command line and every screen see it: asked of SQL, never of workers.

Every function reads on a connection of its own, gives a bounded list, reads no more for it than a
bounded part of the history, and gives up after `question_seconds`.
"""

from taskhub.queue.insight.asking import TookTooLong
from taskhub.queue.insight.depths import fair_keys, foreign, held_keys, queues, unserved
from taskhub.queue.insight.detail import job, why
from taskhub.queue.insight.durations import tasks
from taskhub.queue.insight.failing import failures
from taskhub.queue.insight.fleet import overlaps, workers
from taskhub.queue.insight.flow import flows, moving, retries
from taskhub.queue.insight.listing import jobs, page, running
from taskhub.queue.insight.overview import objective_seconds, overview
from taskhub.queue.insight.totals import counts
from taskhub.queue.insight.trail import audit

__all__ = [
    "TookTooLong",
    "audit",
    "counts",
    "failures",
    "fair_keys",
    "flows",
    "foreign",
    "held_keys",
    "job",
    "jobs",
    "moving",
    "objective_seconds",
    "overlaps",
    "overview",
    "page",
    "queues",
    "retries",
    "running",
    "tasks",
    "unserved",
    "why",
    "workers",
]
