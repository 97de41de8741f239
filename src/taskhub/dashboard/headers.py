"""What every answer says to the browser, and which names the dashboard answers to at all."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'; report-uri {}/csp"
)
_FIXED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Fence:
    """Refuses hosts that are not ours (DNS rebinding), and says on every answer what a page may do.

    A header that the answer has already stays.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = LOOPBACK_NAMES | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = _POLICY.format(scope.get("root_path", ""))

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", policy)
                for name, value in _FIXED.items():
                    headers.setdefault(name, value)
            await send(message)

        host = _without_port(Headers(scope=scope).get("host", ""))
        if "*" not in self._hosts and host not in self._hosts:
            refusal = PlainTextResponse(
                f"refused: host {host[:100]!r} is not one of dashboard_hosts\n", status_code=403
            )
            await refusal(scope, receive, told)
            return
        await self._app(scope, receive, told)


def _without_port(host: str) -> str:
    name, _, port = host.lower().rpartition(":")
    return name if port.isdecimal() and name else host.lower()
