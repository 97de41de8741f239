"""Addresses of one screen that others lead to."""

from __future__ import annotations

from typing import Any

from taskhub.dashboard.visit import Visit
from taskhub.queue.filter_text import format_filter
from taskhub.queue.filters import JobFilter


def jobs(visit: Visit, **wanted: Any) -> str:
    """The list of the jobs that a filter means: every count is a link to what it counts."""
    return visit.url("jobs", query={"q": format_filter(JobFilter(**wanted))})
