"""What a visitor sees when a page cannot be shown: no such page, the database is away, our mistake."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from taskhub.dashboard.house import House
from taskhub.dashboard.routing import Route, screen
from taskhub.dashboard.words import mark
from taskhub.queue import UnknownJob
from taskhub.queue.insight.asking import TookTooLong

logger = logging.getLogger("taskhub.dashboard")
STOPPED = "57014"
SLOW = mark("The database took too long to answer; narrow down what is asked")


class Nothing(LookupError):
    """There is nothing at this address; the message, marked for translation, says what is missing."""


def handlers(house: House) -> Mapping[Any, Callable[[Request, Any], Any]]:
    """What answers each kind of trouble."""
    from taskhub.dashboard.doors import visit_of

    def shown(request: Request, code: int, title: str, why: str) -> Response:
        visit = visit_of(house, _route(title), request)
        return visit.page(
            "trouble.html", status_code=code, heading=visit.translate(title), why=why, live=False
        )

    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return shown(request, 404, mark("There is no such page"), "")
        return shown(request, error.status_code, mark("This cannot be done"), str(error.detail))

    async def nothing(request: Request, error: Exception) -> Response:
        return shown(request, 404, mark("It is not here"), str(error))

    async def database(request: Request, error: Exception) -> Response:
        code, title = _judged(error)
        told = {"reason": _one_line(error), "path": request.url.path}
        logger.warning("a page could not be read", extra=told)
        return shown(request, code, title, "")

    return {
        HTTPException: http,
        Nothing: nothing,
        UnknownJob: nothing,
        DBAPIError: database,
        TookTooLong: database,
        psycopg.Error: database,
        NoConnection: database,
    }


def _judged(error: Exception) -> tuple[int, str]:
    if isinstance(error, TookTooLong):
        return 503, SLOW
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.Error) and cause.sqlstate == STOPPED:
        return 503, SLOW
    if isinstance(cause, psycopg.OperationalError) or isinstance(error, NoConnection):
        return 503, mark("The database is away")
    return 500, mark("The database refused this")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _route(title: str) -> Route:
    def never(_visit: object) -> Response:
        raise AssertionError("a page of trouble is shown, not asked for")

    return screen("/", never, name="trouble", title=title, role="none")
