"""Live parts drawn once for all who see the same: fifty open pages ask the database as one does."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable

from anyio import CapacityLimiter
from starlette.responses import HTMLResponse, Response

# Of one change many hear at once and ask within this time; the next change is drawn anew anyway.
KEPT_SECONDS = 1.0
MOST_KEPT = 200


class Shared:
    """Draws one live part at a time, and gives what it drew to whoever asks for the same at once."""

    def __init__(self, turn: CapacityLimiter) -> None:
        self._turn = turn
        self._kept: dict[Hashable, tuple[float, bytes]] = {}

    async def drawn(self, key: Hashable, draw: Callable[[], Awaitable[Response]]) -> Response:
        """What `draw` gives, or what it gave for the same key a moment ago.

        `key` must hold everything that the part depends on, the pulse's generation too.
        """
        async with self._turn:
            found = self._kept.get(key)
            if found is not None and time.monotonic() - found[0] < KEPT_SECONDS:
                return HTMLResponse(found[1])
            began = time.monotonic()
            response = await draw()
            if isinstance(response, HTMLResponse) and response.status_code == 200:
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
                self._kept[key] = (began, bytes(response.body))
            return response
