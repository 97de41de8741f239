"""`taskhub dashboard` and the dashboard of `taskhub up`: the app on an address of its own."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from taskhub.dashboard import users
from taskhub.dashboard.app import create
from taskhub.queue import Hub
from taskhub.settings import BadSetting, Settings

BACKLOG = 256
# Open pages hold a stream, so that an end must not wait for them.
END_SECONDS = 2


def run(hub: Hub, settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; `tell` is given the address.

    Raises:
        BadSetting: the address is open to others and nobody has to log in, or it is taken.
    """
    refuse_open(hub, settings)
    bound = listen(settings)
    app = _app(hub, settings)
    try:
        server = _server(app)
        tell(f"dashboard: {address(bound)}")
        server.run(sockets=[bound])
    finally:
        app.state.house.reader.close()
        bound.close()


@contextmanager
def beside(hub: Hub, settings: Settings, tell: Callable[[str], None]) -> Iterator[None]:
    """Serve in a thread meanwhile, for a process that does something else."""
    refuse_open(hub, settings)
    bound = listen(settings)
    app = _app(hub, settings)
    server = _server(app)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [bound]}, name="taskhub dashboard", daemon=True
    )
    thread.start()
    tell(f"dashboard: {address(bound)}")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(END_SECONDS * 2)
        app.state.house.reader.close()
        bound.close()


def refuse_open(hub: Hub, settings: Settings) -> None:
    """Refuse an address that others can reach, as long as nobody could or would have to log in there.

    Raises:
        BadSetting: with the command that mends it.
    """
    host = settings.dashboard_host
    if is_loopback(host):
        return
    if not users.every(hub):
        raise BadSetting(
            f"dashboard_host must be a loopback address where the dashboard has no users, got {host!r}; "
            "run `taskhub dashboard users add NAME` first"
        )
    if not settings.dashboard_hosts:
        raise BadSetting(
            f"dashboard_hosts must name what browsers ask for where dashboard_host is {host!r}, got nothing"
        )


def listen(settings: Settings) -> socket.socket:
    """The socket of the settings' host and port; port 0 takes any that is free.

    Raises:
        BadSetting: it cannot be had.
    """
    host, port = settings.dashboard_host, settings.dashboard_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise BadSetting(
            f"dashboard cannot listen on {host} port {port}: {error.strerror}; choose another --port"
        ) from error
    return bound


def address(bound: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host of this name or number."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _app(hub: Hub, settings: Settings) -> Starlette:
    alone = is_loopback(settings.dashboard_host)
    return create(hub, settings, without_users="admin" if alone else "none")


def _server(app: Starlette) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=END_SECONDS,
        )
    )
