"""LISTEN: a hint that jobs came; what it carries is never trusted, and polling goes on without it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import psycopg

logger = logging.getLogger("taskhub.notify")
CHANNEL = "procrastinate_any_queue_v1"


async def listen(
    conninfo: str, wake: Callable[[], None], longest_wait_seconds: float = 30.0
) -> None:
    """Call `wake` at every notification, for ever; reconnects whenever the connection breaks."""
    wait = 0.5
    while True:
        connection: psycopg.AsyncConnection[Any] | None = None
        try:
            connection = await psycopg.AsyncConnection.connect(
                conninfo, autocommit=True, prepare_threshold=None, connect_timeout=10
            )
            await connection.execute(f"LISTEN {CHANNEL}")
            wake()  # whatever came while nobody listened
            wait = 0.5
            async for _ in connection.notifies():
                wake()
        except psycopg.Error as error:
            logger.warning("listening failed", extra={"error": str(error), "retry_seconds": wait})
        finally:
            if connection is not None:
                await connection.close()
        await asyncio.sleep(wait)
        wait = min(wait * 2, longest_wait_seconds)
