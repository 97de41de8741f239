"""Who gets in, with which role, and how often a password may be tried."""

import re
from collections.abc import AsyncIterator

import pytest
from sse_starlette import ServerSentEvent

from taskhub import Hub
from taskhub.dashboard import users
from taskhub.dashboard.live import Pulse
from taskhub.dashboard.pages import PAGES
from taskhub.dashboard.roles import ROLES, Role, covers
from taskhub.dashboard.routing import Route
from taskhub.dashboard.seals import Seals
from tests.dashboard.conftest import Browser, Visitor

PASSWORD = "correct horse battery"  # noqa: S105 - of people who live as long as a test


@pytest.fixture
def people(hub: Hub) -> None:
    for role in ROLES:
        users.add(hub, f"{role} person", role, PASSWORD)


def log_in(browser: Browser, name: str, password: str = PASSWORD, **form: str) -> int:
    return browser.act(
        "/login", {"name": name, "password": password, **form}, page="/login"
    ).status_code


def address(route: Route) -> str:
    """The route's path with a number or a word for each part of it."""
    numbered = re.sub(r"\{\w+:int\}", "1", route.path)
    return re.sub(r"\{\w+(:\w+)?\}", "x", numbered)


def asked(browser: Browser, route: Route) -> str:
    """What becomes of a request with everything right about it but perhaps who makes it."""
    if route.method == "GET":
        answer = browser.get(address(route))
    else:
        answer = browser.act(address(route), page="/login")
    if answer.status_code == 303 and answer.headers["location"].startswith("/login?"):
        return "log in"
    assert answer.status_code < 500, (route.name, answer.text)
    return "refused" if answer.status_code == 403 else "let in"


def expected(route: Route, role: str | None) -> str:
    if covers(role or "none", route.role):  # type: ignore[arg-type]  # a role's name
        return "let in"
    is_page = route.method == "GET" and bool(route.title)
    return "log in" if role is None and is_page else "refused"


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("role", [None, *ROLES])
def test_every_route_lets_in_exactly_whom_it_declares(
    visitor: Visitor, role: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def soon_over(_: Pulse) -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(event="hello", data="")

    monkeypatch.setattr(Pulse, "events", soon_over)
    browser = visitor(anonymous="none", without_users="admin")
    if role is not None:
        assert log_in(browser, f"{role} person") == 303
    routes = [r for r in PAGES if r.name not in {"login.do", "logout"}]

    seen = {route.name: asked(browser, route) for route in routes}

    assert seen == {route.name: expected(route, role) for route in routes}


def test_a_route_that_changes_something_is_a_post_with_a_token() -> None:
    assert {r.name for r in PAGES if r.method == "POST" and not r.token} == {"csp"}
    assert {r.role for r in PAGES if r.name in {"csp", "login", "login.do", "logout"}} == {"none"}
    assert len({r.name for r in PAGES}) == len(PAGES)


def test_read_only_refuses_every_change_to_an_admin(hub: Hub, visitor: Visitor) -> None:
    from taskhub.settings import Settings

    settings = Settings(database_url=hub.settings.database_url, dashboard_read_only=True)
    browser = visitor(settings=settings)

    for route in PAGES:
        if route.method == "POST" and route.role != "none":
            assert asked(browser, route) == "refused", route.name
    assert browser.get("/").status_code == 200
    house = browser.app.state.house
    with pytest.raises(Exception, match="read-only transaction"):
        house.hub.write("end_dashboard_sessions", name="x")


@pytest.mark.usefixtures("people")
def test_a_session_ends_everywhere_with_a_logout_and_with_its_user(
    hub: Hub, visitor: Visitor
) -> None:
    here, there = visitor(anonymous="none"), visitor(anonymous="none")
    for browser in (here, there):
        log_in(browser, "read person")
        assert browser.get("/").status_code == 200

    here.act("/logout", page="/login")

    assert [b.get("/").status_code for b in (here, there)] == [303, 303]
    log_in(there, "read person")
    assert there.get("/").status_code == 200
    users.remove(hub, "read person")
    assert there.get("/").status_code == 303


@pytest.mark.usefixtures("people")
def test_a_role_that_is_taken_away_counts_at_the_next_request(hub: Hub, visitor: Visitor) -> None:
    browser = visitor(anonymous="none")
    log_in(browser, "admin person")

    hub.engine.connect().close()
    with hub.transaction() as session:
        session.connection().exec_driver_sql(
            "UPDATE taskhub.dashboard_users SET role = 'none' WHERE name = 'admin person'"
        )

    assert browser.get("/").status_code == 403


@pytest.mark.usefixtures("people")
def test_a_login_leads_back_to_where_it_was_asked_for_and_changes_the_token(
    visitor: Visitor,
) -> None:
    browser = visitor(anonymous="none")
    turned = browser.get("/?a=1")
    assert turned.headers["location"] == "/login?back=%2F%3Fa%3D1"
    before = browser.get(turned.headers["location"]).text

    answer = browser.act(
        "/login", {"name": "read person", "password": PASSWORD, "back": "/?a=1"}, page="/login"
    )

    assert answer.headers["location"] == "/?a=1"
    cookie = next(c for c in answer.headers.get_list("set-cookie") if "taskhub_session" in c)
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    token = re.search(r'name="token" value="(\w+)"', browser.get("/").text)
    assert token is not None
    assert token[1] not in before


def test_without_users_nobody_gets_in_where_nothing_else_lets_them(visitor: Visitor) -> None:
    browser = visitor(anonymous="none")

    assert browser.get("/").status_code == 303
    assert log_in(browser, "admin", "") == 401


@pytest.mark.usefixtures("people")
def test_a_password_can_be_tried_five_times_from_one_place_in_all_processes(
    visitor: Visitor,
) -> None:
    one, other = visitor(anonymous="none"), visitor(anonymous="none")

    tries = [log_in(b, "admin person", "a wrong one") for b in (one, other, one, other, one)]

    assert tries == [401] * 5
    assert log_in(other, "admin person") == 429
    assert log_in(other, "read person") == 303


def test_a_forged_or_foreign_cookie_is_no_session(hub: Hub, visitor: Visitor) -> None:
    users.add(hub, "ada", "admin", PASSWORD)
    browser = visitor(anonymous="none")
    other = Seals(b"another key").seal("session", ["ada", 0.0, 0.0])

    for forged in ("x", other, other[:-2]):
        answer = browser.get("/", headers={"cookie": f"taskhub_session={forged}"})
        assert answer.status_code == 303


def test_a_host_application_judges_every_request_itself(hub: Hub, visitor: Visitor) -> None:
    asked_for: list[str] = []

    async def can(request: object, route: Route) -> bool:
        asked_for.append(route.name)
        return route.role == "read"

    browser = visitor(anonymous="none", can=can)

    assert browser.get("/").status_code == 200
    assert "overview" in asked_for
    refusing = visitor(can=lambda request, route: False)
    assert refusing.get("/").status_code == 403


@pytest.mark.parametrize(
    ("name", "role", "password", "told"),
    [
        ("", "read", PASSWORD, "name must be"),
        ("a\nb", "read", PASSWORD, "name must be"),
        ("ada", "root", PASSWORD, "role must be one of none, read, operate, admin"),
        ("ada", "read", "short", "password must be 10 to 1000 characters, got 5"),
    ],
)
def test_what_cannot_be_a_user_is_told(
    hub: Hub, name: str, role: Role, password: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        users.add(hub, name, role, password)
