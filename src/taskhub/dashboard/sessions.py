"""Who a request comes from, as its session says and the database still says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request

from taskhub.dashboard.roles import ROLES, Role
from taskhub.dashboard.users import Session
from taskhub.dashboard.visit import Person

if TYPE_CHECKING:
    from taskhub.dashboard.house import House

SESSION_COOKIE = "taskhub_session"


def seal(house: House, session: Session, *, began_at: float) -> str:
    """A session as its cookie holds it; sealed anew at every page, so that it tells when the last was."""
    return house.seals.seal("session", [session.name, session.sessions_from, began_at])


def opened(house: House, request: Request) -> tuple[str, float, float] | None:
    """The name, the `sessions_from` and the beginning of a session that is not over; else None."""
    sealed = request.cookies.get(SESSION_COOKIE)
    idle = house.settings.dashboard_idle_minutes * 60
    held: Any = house.seals.open("session", sealed, max_seconds=idle)
    if not isinstance(held, list) or len(held) != 3:
        return None
    name, sessions_from, began_at = held
    if time.time() - began_at > house.settings.dashboard_session_hours * 3600:
        return None
    return str(name), float(sessions_from), float(began_at)


def person(house: House, request: Request) -> Person:
    """Who makes a request, with the role they have at this moment; asks the database."""
    held = opened(house, request)
    name, sessions_from = (held[0], held[1]) if held else (None, None)
    row = house.reader.read_one("dashboard_visitor", name=name, sessions_from=sessions_from)
    if row is None or not row["has_users"]:
        return Person(None, max(house.without_users, house.anonymous, key=ROLES.index))
    if row["role"] is None:
        return Person(None, house.anonymous)
    return Person(name, cast(Role, row["role"]))


def guest(request: Request) -> Person:
    """Who the host application says it is; its `can` judges them, not a role."""
    user = request.scope.get("user")
    name = getattr(user, "display_name", None) or getattr(user, "username", None)
    return Person(str(name) if name else None, "none")
