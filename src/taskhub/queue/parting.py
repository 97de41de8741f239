"""The end of a worker's process, also where threads or coroutines go on that nothing else would stop."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskhub.queue.worker import Worker

# A supervisor starts the worker again, whatever its code but 0.
CLOGGED = 1


async def to_the_end(worker: Worker, work: Coroutine[Any, Any, None], *, failed: int = 1) -> int:
    """Await `work`, the whole life of `worker`; the exit code of its process.

    Where threads or coroutines go on it does not come back: the process ends here, with `failed`
    where `work` raised. Their jobs start elsewhere in a few seconds, and to leave the loop would mean to
    wait for them.
    """
    code = failed
    try:
        await work
        code = CLOGGED if worker.is_clogged else 0
    finally:
        if worker.abandoned:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return code
