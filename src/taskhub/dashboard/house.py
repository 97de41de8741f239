"""What every page of one dashboard shares: its hub, its words, its keys, its pulse."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from anyio import CapacityLimiter
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.routing import Router

from taskhub.dashboard import assets, words
from taskhub.dashboard.live import Pulse
from taskhub.dashboard.roles import Role
from taskhub.dashboard.routing import Route
from taskhub.dashboard.seals import Seals
from taskhub.dashboard.shared import Shared
from taskhub.dashboard.writing import Writer
from taskhub.queue import Hub
from taskhub.settings import Settings

Can = Callable[[Request, Route], bool | Awaitable[bool]]


@dataclass(kw_only=True)
class House:
    """One dashboard.

    Attributes:
        hub: for changes; where all is read-only, the reader.
        accounts: for logins, which are noted even where all else is read-only.
        reader: for everything that is only shown; see reading.py.
        anonymous: the role of a visitor who has not logged in.
        without_users: the role of everybody while the dashboard has no users.
        seals: until the first request has found the key, of a key that nobody knows.
        can: the host application's own judgement; where it is given, nobody logs in here.
        turn: what open pages ask for goes through it one at a time, so that fifty need one connection.
        reports: how often a browser told that a page broke its policy.
        token_mark: stands in a rendered page where the visitor's token belongs.
    """

    hub: Hub
    accounts: Hub
    reader: Hub
    settings: Settings
    routes: tuple[Route, ...]
    anonymous: Role
    without_users: Role
    can: Can | None
    read_only: bool
    seals: Seals
    is_sealed: bool = False
    pulse: Pulse
    shared: Shared
    turn: CapacityLimiter
    router: Router = field(default_factory=Router)
    reports: int = 0
    token_mark: str = field(default_factory=lambda: f"token-{secrets.token_hex(16)}")
    environments: dict[str, Environment] = field(default_factory=dict)

    def environment(self, language: str) -> Environment:
        """The templates in a language; every value they are given is escaped."""
        if language not in self.environments:
            self.environments[language] = _environment(language)
        return self.environments[language]

    def route(self, name: str) -> Route:
        """The route of this name.

        Raises:
            KeyError: there is none.
        """
        return next((r for r in self.routes if r.name == name), None) or _missing(name)


def _missing(name: str) -> Route:
    raise KeyError(f"no route of the dashboard is called {name!r}")


def _environment(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("taskhub.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(  # type: ignore[attr-defined]  # the extension adds it
        words.translations(language), newstyle=True
    )
    Writer(words.locale(language)).install(environment)
    environment.globals["language"] = language
    environment.globals["languages"] = words.LANGUAGES
    environment.globals["asset"] = lambda file: assets.every()[file].name
    return environment
