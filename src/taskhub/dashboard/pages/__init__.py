"""The screens, one a file; each file's ROUTES are part of the dashboard once it is named here."""

from taskhub.dashboard.pages import (
    alerts,
    annotations,
    audit,
    entrance,
    failures,
    job,
    jobs,
    knowledge,
    limits,
    mail,
    overview,
    plumbing,
    queues,
    schedules,
    search,
    segments,
    system,
    tasks,
    workers,
)
from taskhub.dashboard.routing import Route

_SCREENS = (
    overview, jobs, job, failures, queues, tasks, workers, schedules, limits, knowledge, segments, search,
    annotations, mail, alerts, audit, system, entrance, plumbing,
)  # fmt: skip
PAGES: tuple[Route, ...] = tuple(route for screen in _SCREENS for route in screen.ROUTES)
