"""Log in, log out."""

import secrets
import time

from starlette.responses import RedirectResponse, Response

from taskhub.dashboard import users
from taskhub.dashboard.routing import action, screen
from taskhub.dashboard.sessions import SESSION_COOKIE, seal
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark

NOT_YOURS = mark("The name or the password is wrong.")
TOO_MANY = mark("There were too many tries. Wait a quarter of an hour.")


def show(visit: Visit) -> Response:
    """The form."""
    return _form(visit)


def log_in(visit: Visit) -> Response:
    """Check a name and a password; a new session begins, with a token of its own."""
    name, password = visit.posted("name"), visit.form.get("password")
    place = visit.request.client.host if visit.request.client else "unknown"
    try:
        session = users.log_in(
            visit.house.accounts, name, password if isinstance(password, str) else "", place
        )
    except users.Throttled:
        return _form(visit, visit.translate(TOO_MANY), status_code=429)
    if session is None:
        return _form(visit, visit.translate(NOT_YOURS), status_code=401)
    # What an attacker may have known before the login is worth nothing after it.
    visit.nonce = secrets.token_hex(16)
    response = RedirectResponse(visit.origin, status_code=303)
    sealed = seal(visit.house, session, began_at=time.time())
    response.set_cookie(SESSION_COOKIE, sealed, **visit.cookie_manners)
    return response


def log_out(visit: Visit) -> Response:
    """End the sessions of whoever asks, here and in other browsers."""
    if visit.who.name is not None and visit.house.can is None:
        users.log_out(visit.house.accounts, visit.who.name)
    response = visit.back(to=visit.url("login"))
    response.delete_cookie(SESSION_COOKIE, **visit.cookie_manners)
    return response


def _form(visit: Visit, trouble: str = "", status_code: int = 200) -> Response:
    back = visit.posted("back") or visit.asked("back")
    shown = {"trouble": trouble, "name": visit.posted("name"), "back": back, "live": False}
    return visit.page("login.html", status_code=status_code, **shown)


ROUTES = (
    screen("/login", show, name="login", title=mark("Log in"), role="none"),
    action("/login", log_in, name="login.do", title=mark("Log in"), role="none"),
    action("/logout", log_out, name="logout", role="none"),
)
