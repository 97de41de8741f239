"""Where a task runs: coroutines on the worker's loop, plain functions in its threads."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

from taskhub.queue import transactional
from taskhub.queue.arguments import to_json
from taskhub.queue.context import Context, running
from taskhub.queue.task import Task
from taskhub.queue.values import encode

logger = logging.getLogger("taskhub.worker")


async def run(
    task: Task[..., Any], stored: str, context: Context, threads: ThreadPoolExecutor
) -> str | None:
    """The JSON text of what the task returns; raises whatever the task raises.

    A transactional task gives None: its outcome is stored.
    """
    running.set(context)
    if task.is_transactional:
        if task.is_async:
            await transactional.run_async(task, stored, context)
        else:
            work = partial(copy_context().run, transactional.run, task, stored, context)
            await asyncio.get_running_loop().run_in_executor(threads, work)
        return None
    if task.is_async:
        answer = await task.call(stored, context)
    else:
        # The pool is as large as the worker's concurrency, so a claimed job never waits for a thread.
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(threads, copy_context().run, task.call, stored, context)
    return None if answer is None else result_text(task, answer)


def result_text(task: Task[..., Any], answer: Any) -> str | None:
    """`answer` as JSON text, or None where it cannot be kept; the job is done either way."""
    try:
        wanted = task.parameters.returns if type(answer) is not dict else Any
        kept = encode(answer, wanted, "result")
        return to_json({"result": kept}, task.hub.settings.max_args_bytes)[len('{"result":') : -1]
    except (TypeError, ValueError, RecursionError) as error:
        logger.warning("result not kept", extra={"task": task.name, "reason": str(error)})
        return None
