"""Screens of what only a database with the knowledge base's tables holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from starlette.responses import Response

from taskhub.dashboard.visit import Visit
from taskhub.system.findings import has_tables

Show = Callable[[Visit], Response]


def needs_tables(show: Show) -> Show:
    """Say so where the tables of the knowledge base, mails and alerts are not there."""

    @wraps(show)
    def shown(visit: Visit) -> Response:
        if not has_tables(visit.reader):
            return visit.page("no_tables.html")
        return show(visit)

    return shown
