"""One request with who made it: what a screen is given, and what it answers with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from taskhub.dashboard import words
from taskhub.dashboard.roles import Role
from taskhub.dashboard.routing import Route
from taskhub.queue import Hub

if TYPE_CHECKING:
    from taskhub.dashboard.house import House

SAID_SECONDS = 60.0
MAX_REASON = 500
SAID_COOKIE = "taskhub_said"


@dataclass(frozen=True, slots=True)
class Person:
    """Who makes a request; a visitor that nobody knows has the name None."""

    name: str | None
    role: Role


@dataclass(kw_only=True)
class Visit:
    """One request to one route, by somebody who may make it.

    Attributes:
        form: what was posted; empty for a GET.
        allowed: the names of the routes that this visitor may use.
        nonce: what the visitor's token is made of.
        said: what the last action said, shown once: its kind ("ok", "bad") and its words.
        is_partial: htmx asks for the live part of the page alone.
    """

    house: House
    request: Request
    route: Route
    who: Person
    nonce: str
    language: str
    theme: str
    said: tuple[str, str] | None = None
    form: FormData = field(default_factory=FormData)
    allowed: frozenset[str] = frozenset()

    @property
    def hub(self) -> Hub:
        """For changes; what is only shown is asked of `reader`."""
        return self.house.hub

    @property
    def reader(self) -> Hub:
        """The hub on a small read-only pool, with a time limit for each statement."""
        return self.house.reader

    @property
    def is_partial(self) -> bool:
        """Whether only the live part of the page is wanted."""
        return self.request.headers.get("hx-request") == "true"

    @property
    def here(self) -> str:
        """The address of this page with its query, as a form names it to come back to."""
        if self.request.method != "GET":
            return self.url("overview")
        query = self.request.url.query
        path: str = self.request.scope["path"]
        return path + (f"?{query}" if query else "")

    @property
    def actor(self) -> str:
        """Who acts, as the audit names them."""
        return self.who.name or "anonymous"

    @property
    def reason(self) -> str | None:
        """Why, as the form says it."""
        return self.posted("reason")[:MAX_REASON] or None

    def may(self, name: str) -> bool:
        """Whether this visitor may use the route called so."""
        return name in self.allowed

    def asked(self, name: str, default: str = "") -> str:
        """A value of the address's query, without spaces around it."""
        return self.request.query_params.get(name, default).strip()

    def posted(self, name: str, default: str = "") -> str:
        """A text field of the form, without spaces around it."""
        value = self.form.get(name, default)
        return value.strip() if isinstance(value, str) else default

    def posted_ids(self, name: str = "id") -> list[int]:
        """The numbers of the checked boxes; what is no number is left out."""
        given = [v for v in self.form.getlist(name) if isinstance(v, str)]
        return [int(v) for v in given if v.isascii() and v.isdecimal() and len(v) < 19]

    def url(self, name: str, /, query: dict[str, Any] | None = None, **parts: Any) -> str:
        """The path of a route, under whatever path the dashboard is mounted."""
        path = self.request.scope.get("root_path", "") + self.house.router.url_path_for(
            name, **parts
        )
        asked = {k: v for k, v in (query or {}).items() if v not in (None, "", [])}
        return f"{path}?{urlencode(asked, doseq=True)}" if asked else path

    def translate(self, text: str, **values: Any) -> str:
        """A sentence marked by `words.mark`, in the visitor's language, with %(name)s filled in."""
        told = words.translations(self.language).gettext(text)
        return told % values if values else told

    def page(self, template: str, *, status_code: int = 200, **context: Any) -> HTMLResponse:
        """A template filled in; beside `context` it knows visit, url, may, settings, token and here.

        `heading` stands in place of the route's title; with `live=False` the page is never drawn
        anew by itself.
        """
        house = self.house
        known = {"live": self.route.method == "GET", "heading": "", "here": self.here}
        rendered = house.environment(self.language).get_template(template).render(
            visit=self,
            url=self.url,
            may=self.may,
            settings=house.settings,
            token=house.token_mark,
            layout="part.html" if self.is_partial else "whole.html",
            navigation=[r for r in house.routes if r.nav is not None],
            **(known | context),
        )  # fmt: skip
        # The text in between is the same for all who see the page, so that it can be kept for them.
        return HTMLResponse(rendered, status_code=status_code)

    def back(self, said: str = "", *, to: str | None = None, kind: str = "ok") -> Response:
        """Go on to a page after an action, which says once what was done.

        `to` is a path from `url`; default: the page the form stood on.
        """
        response = RedirectResponse(to or self.origin, status_code=303)
        if said:
            sealed = self.house.seals.seal("said", [kind, said[:1000]])
            response.set_cookie(
                SAID_COOKIE, sealed, max_age=int(SAID_SECONDS), **self.cookie_manners
            )
        return response

    @property
    def root(self) -> str:
        """The path under which the dashboard is mounted, for its cookies."""
        return self.request.scope.get("root_path", "") or "/"

    @property
    def cookie_manners(self) -> dict[str, Any]:
        """How every cookie of ours is set."""
        return {
            "path": self.root,
            "httponly": True,
            "samesite": "lax",
            "secure": self.request.url.scheme == "https",
        }

    @property
    def origin(self) -> str:
        """The page the form names as its own; never one of another place."""
        given = self.posted("back") or self.asked("back")
        root = self.request.scope.get("root_path", "") + "/"
        # "//host" and "/\host" are addresses of other places to a browser.
        if given.startswith(root) and not given.startswith("//") and "\\" not in given:
            return given
        return self.url("overview")
