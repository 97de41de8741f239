"""The dashboard as one ASGI app, alone or under any path of another."""

from __future__ import annotations

import secrets

from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.routing import Route as Path

from taskhub.dashboard import assets, trouble
from taskhub.dashboard.doors import guarded
from taskhub.dashboard.headers import Fence
from taskhub.dashboard.house import Can, House
from taskhub.dashboard.live import Pulse
from taskhub.dashboard.pages import PAGES
from taskhub.dashboard.reading import reader
from taskhub.dashboard.roles import Role
from taskhub.dashboard.seals import Seals
from taskhub.dashboard.shared import Shared
from taskhub.queue import Hub
from taskhub.settings import Settings

MAX_BODY_BYTES = 2_097_152
KEPT_FOR_EVER = "public, max-age=31536000, immutable"


def create(
    hub: Hub,
    settings: Settings | None = None,
    *,
    can: Can | None = None,
    anonymous: Role = "none",
    without_users: Role = "none",
) -> Starlette:
    """An app that shows `hub`; mount it wherever you like: it finds its own path by root_path.

    It answers only to the names of the loopback and those of `dashboard_hosts`, and lets nobody in
    whom nothing lets in. It opens no connection before the first request; `app.state.house` is
    what its pages share.

    Args:
        hub: whose jobs are shown and changed.
        settings: default: the hub's.
        can: judges each request in place of our own users: given the request and the route, which
            has a `name` ("jobs.retry"), a `role` and a `method`. May be a coroutine function.
        anonymous: the role of whoever has not logged in.
        without_users: the role of everybody while there are no users; see `taskhub dashboard users`.

    Raises:
        BadAddress: a database url is none.
    """
    house = _house(hub, settings or hub.settings, can, (anonymous, without_users))
    app = Starlette(
        routes=[*_static(), *_declared(house)],
        middleware=[Middleware(Fence, hosts=house.settings.dashboard_hosts)],
        exception_handlers=trouble.handlers(house),
        max_body_size=MAX_BODY_BYTES,
    )
    house.router = app.router
    app.state.house = house
    return app


def _house(hub: Hub, settings: Settings, can: Can | None, roles: tuple[Role, Role]) -> House:
    reading = reader(hub, settings)
    turn = CapacityLimiter(1)
    return House(
        hub=reading if settings.dashboard_read_only else hub,
        accounts=hub,
        reader=reading,
        settings=settings,
        routes=PAGES,
        anonymous=roles[0],
        without_users=roles[1],
        can=can,
        read_only=settings.dashboard_read_only,
        seals=Seals(secrets.token_bytes(32)),
        pulse=Pulse(reading, turn),
        shared=Shared(turn),
        turn=turn,
    )


def _declared(house: House) -> list[BaseRoute]:
    return [
        Path(route.path, guarded(house, route), methods=[route.method], name=route.name)
        for route in house.routes
    ]


def _static() -> list[BaseRoute]:
    async def serve(request: Request) -> Response:
        asset = assets.by_name().get(request.path_params["name"])
        if asset is None:
            return PlainTextResponse("not found\n", status_code=404)
        kept = {"cache-control": KEPT_FOR_EVER}
        return Response(asset.content, media_type=asset.media_type, headers=kept)

    return [Path("/static/{name}", serve, methods=["GET"], name="static")]
