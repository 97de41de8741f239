"""Python's collector of garbage in cycles, where it looks often and there is none to find."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Young objects at which it looks; Python's own number is 700.
COLLECT_FROM = 10_000


@contextmanager
def calm() -> Iterator[None]:
    """For a process that is a worker and no more: look less often, and not at what was imported.

    A run makes some dozen objects, which die without the collector. Its looks each time 700 had come
    together took a quarter of a worker's time.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(max(COLLECT_FROM, before[0]) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def paused() -> Iterator[None]:
    """While many objects are made that are all kept: a tenth of what storing 100,000 jobs takes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
