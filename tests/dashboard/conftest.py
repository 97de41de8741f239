"""The dashboard as a browser on this machine sees it, without a socket."""

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from starlette.applications import Starlette

from taskhub import Hub, dashboard
from taskhub.dashboard import users

TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash is made to cost 0.2 s of CPU; what is tried here is who gets in, not how long it takes."""
    monkeypatch.setattr(users, "_hasher", PasswordHasher.from_parameters(CHEAPEST))


class Browser:
    """Asks as a browser does: cookies are kept, posts come from a page of the same place."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        self.headers: dict[str, str] = {}
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    def get(self, path: str, **options: Any) -> httpx.Response:
        """A page; redirects are not followed."""
        return self._ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """A bare POST, without a token."""
        return self._ask("POST", path, **options)

    def act(
        self, path: str, data: dict[str, Any] | None = None, *, page: str = "/"
    ) -> httpx.Response:
        """Post a form with the token of `page`, as if its button was pressed."""
        token = TOKEN.search(self.get(page).text)
        assert token is not None, f"{page} holds no token"
        form = {"token": token[1], **(data or {})}
        return self.post(path, data=form, headers={"sec-fetch-site": "same-origin"})

    def follow(self, answer: httpx.Response) -> httpx.Response:
        """The page that an action leads to."""
        assert answer.status_code == 303, answer.text
        return self.get(answer.headers["location"])

    def close(self) -> None:
        """Let go of the loop."""
        self._runner.run(self._client.aclose())
        self._runner.close()

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return self._runner.run(self._client.request(method, path, headers=headers, **options))


Visitor = Callable[..., Browser]


@pytest.fixture
def visitor(hub: Hub) -> Iterator[Visitor]:
    """Makes a browser with a dashboard of the test's hub or another, by the options of `create`."""
    opened: list[Browser] = []

    def make(other: Hub | None = None, /, **options: Any) -> Browser:
        app = dashboard.create(other or hub, **{"anonymous": "admin", **options})
        opened.append(Browser(app))
        return opened[-1]

    yield make
    for one in opened:
        one.app.state.house.reader.close()
        one.close()


@pytest.fixture
def browser(visitor: Visitor) -> Browser:
    """A browser of somebody who may do everything."""
    return visitor()
