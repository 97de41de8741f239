"""What a screen declares of itself: its routes, each with the role it needs and its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from starlette.responses import Response

from taskhub.dashboard.roles import Role

if TYPE_CHECKING:
    from taskhub.dashboard.visit import Visit

Run = Callable[["Visit"], Response] | Callable[["Visit"], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One address of the dashboard.

    Attributes:
        path: beginning with "/", as starlette writes it: "/jobs/{job_id:int}".
        run: answers it; a plain function runs in a thread, so it may ask the database.
        name: what links and `can` call it: "jobs.show".
        role: the least that a visitor needs.
        title: in English, marked for translation; the page's heading and its word in the navigation.
        nav: its place in the navigation, from low to high; None: it is not in it.
        token: whether a POST must carry the token of its visitor's forms.
    """

    path: str
    run: Run
    name: str
    method: Literal["GET", "POST"]
    role: Role
    title: str = ""
    nav: int | None = None
    token: bool = True


def screen(
    path: str, run: Run, *, name: str, title: str, role: Role = "read", nav: int | None = None
) -> Route:
    """An address that shows something and changes nothing."""
    return Route(path=path, run=run, name=name, method="GET", role=role, title=title, nav=nav)


def action(path: str, run: Run, *, name: str, title: str = "", role: Role = "operate") -> Route:
    """An address that changes something: by POST, with a token, and never where all is read-only."""
    return Route(path=path, run=run, name=name, method="POST", role=role, title=title)
