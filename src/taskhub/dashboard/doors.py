"""The one way into every route: who it is, whether they may, whether they mean it."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlsplit

from anyio import to_thread
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from taskhub.dashboard import sessions, users, words
from taskhub.dashboard.house import House
from taskhub.dashboard.roles import covers
from taskhub.dashboard.routing import Route
from taskhub.dashboard.users import Session
from taskhub.dashboard.visit import SAID_COOKIE, SAID_SECONDS, Person, Visit

VISIT_COOKIE = "taskhub_visit"
# A visitor's token counts for so long after the last page with a form.
VISIT_SECONDS = 30 * 86_400.0
MAX_FIELDS = 5_000


def guarded(house: House, route: Route) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a route: everything that must hold is asked before it runs."""

    async def answer(request: Request) -> Response:
        if not house.is_sealed:
            secret = house.settings.dashboard_secret
            house.seals = await run_in_threadpool(users.seals, house.accounts, secret)
            house.is_sealed = True
        visit = visit_of(house, route, request)
        refusal = _cross_site(request) if route.method == "POST" else None
        if refusal is None and route.method == "POST" and route.token:
            visit.form = await request.form(max_files=1, max_fields=MAX_FIELDS)
            if not house.seals.is_token(visit.nonce, visit.posted("token")):
                refusal = "the form carried no token of this visitor; load the page again"
        if refusal is not None:
            return PlainTextResponse(f"refused: {refusal}\n", status_code=403)
        await _recognise(visit)
        if route.name not in visit.allowed:
            return _turned_away(visit)
        return _sealed(visit, await (_shared(visit) if visit.is_partial else _run(visit)))

    return answer


async def _recognise(visit: Visit) -> None:
    """Find out who it is and what they may."""
    house, request = visit.house, visit.request
    if visit.route.name == "csp":
        visit.allowed = frozenset({"csp"})
        return
    if house.can is None:
        visit.who = await to_thread.run_sync(sessions.person, house, request, limiter=house.turn)
        visit.allowed = frozenset(r.name for r in house.routes if covers(visit.who.role, r.role))
    else:
        visit.who = sessions.guest(request)
        judged = [(r.name, house.can(request, r)) for r in house.routes if r.role != "none"]
        allowed = {name for name, a in judged if (await a if inspect.isawaitable(a) else a)}
        visit.allowed = frozenset(allowed | {r.name for r in house.routes if r.role == "none"})
    if house.read_only:
        changes = {r.name for r in house.routes if r.method == "POST" and r.role != "none"}
        visit.allowed -= changes


def visit_of(house: House, route: Route, request: Request) -> Visit:
    """The request with its visitor, as its cookies say; what was posted is not read yet."""
    cookies = request.cookies
    nonce = house.seals.open("visit", cookies.get(VISIT_COOKIE), max_seconds=VISIT_SECONDS)
    said = house.seals.open("said", cookies.get(SAID_COOKIE), max_seconds=SAID_SECONDS)
    language = cookies.get("taskhub_language", "")
    theme = cookies.get("taskhub_theme", "")
    return Visit(
        house=house,
        request=request,
        route=route,
        who=Person(None, house.anonymous),
        nonce=nonce if isinstance(nonce, str) else secrets.token_hex(16),
        language=language
        if language in words.LANGUAGES
        else words.choose(request.headers.get("accept-language", "")),
        theme=theme if theme in {"light", "dark"} else "auto",
        said=(said[0], said[1]) if isinstance(said, list) and len(said) == 2 else None,
        form=FormData(),
    )


def _cross_site(request: Request) -> str | None:
    """Why a POST cannot have come from a page of ours, or None."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return None if site == "same-origin" else f"it came from another place ({site})"
    # Browsers before 2023 do not say the site; all say the origin of a POST.
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return "it came from another origin"
    return None


def _turned_away(visit: Visit) -> Response:
    house = visit.house
    asks_for_page = visit.route.method == "GET" and bool(visit.route.title) and not visit.is_partial
    if visit.who.name is None and house.can is None and asks_for_page:
        return RedirectResponse(visit.url("login", {"back": visit.here}), status_code=303)
    return PlainTextResponse(
        f"refused: {visit.route.name} needs the role {visit.route.role}\n", status_code=403
    )


async def _shared(visit: Visit) -> Response:
    house, scope = visit.house, visit.request.scope
    seen = (house.pulse.generation, visit.who, visit.allowed, visit.language)
    place = (scope["path"], scope["query_string"], scope.get("root_path", ""))
    return await house.shared.drawn((*seen, *place), lambda: _run(visit))


async def _run(visit: Visit) -> Response:
    run = visit.route.run
    if inspect.iscoroutinefunction(run):
        return await cast(Awaitable[Response], run(visit))
    return await run_in_threadpool(cast(Callable[[Any], Response], run), visit)


def _sealed(visit: Visit, response: Response) -> Response:
    """The answer with the visitor's own marks: the token of its forms, the cookies that go with it."""
    house = visit.house
    manners = visit.cookie_manners
    if isinstance(response, HTMLResponse):
        mark, token = house.token_mark.encode(), house.seals.token(visit.nonce).encode()
        if mark in bytes(response.body):
            response.body = bytes(response.body).replace(mark, token)
            response.headers["content-length"] = str(len(response.body))
            _keep_nonce(visit, response)
        if visit.said is not None and not visit.is_partial:
            response.delete_cookie(SAID_COOKIE, **manners)
    elif visit.route.name == "login.do":
        _keep_nonce(visit, response)
    # The stream of changes goes on by itself: only a page is a sign that somebody is there.
    held = sessions.opened(house, visit.request) if visit.who.name is not None else None
    if held is not None and isinstance(response, HTMLResponse) and not visit.is_partial:
        again = sessions.seal(house, Session(held[0], visit.who.role, held[1]), began_at=held[2])
        response.set_cookie(sessions.SESSION_COOKIE, again, **manners)
    if isinstance(response, HTMLResponse | RedirectResponse):
        response.headers.setdefault("cache-control", "no-store")
    return response


def _keep_nonce(visit: Visit, response: Response) -> None:
    sealed = visit.house.seals.seal("visit", visit.nonce)
    response.set_cookie(VISIT_COOKIE, sealed, max_age=int(VISIT_SECONDS), **visit.cookie_manners)
