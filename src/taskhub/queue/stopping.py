"""Signals by which somebody asks a worker to stop."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def heard(on_signal: Callable[[], None], *, is_wanted: bool) -> Iterator[None]:
    """Call `on_signal` on the event loop at each SIGTERM and SIGINT meanwhile; main thread only."""
    handled = (signal.SIGTERM, signal.SIGINT) if is_wanted else ()
    loop = asyncio.get_running_loop()
    for number in handled:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
