"""Where a task runs and how much it may take: what `executor=`, `timeout=` and the limits stand for."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

ExecutorName = Literal["async", "thread", "process"]
_NAMES = ("async", "thread", "process")


class TaskTimeout(TimeoutError):
    """The job ran longer than its task's `timeout=`."""

    def __init__(self, seconds: float, more: str = "") -> None:
        super().__init__(f"timed out after {seconds:g} s{more}")


class MemoryLimit(RuntimeError):
    """The job's processes held more memory than its task's `memory_mb=`."""


class CpuLimit(RuntimeError):
    """The job used more processor time than its task's `cpu_seconds=`."""


class ResultTooLarge(ValueError):
    """What a process job returned is longer than `process_max_result_bytes`."""


class ChildDied(RuntimeError):
    """The child process of a job ended before the job did; the message says by what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What a task that says anything about it asks of its executor.

    Attributes:
        timeout: seconds, from the moment the function is called; None: as long as it takes.
        memory_mb: megabytes resident, of the child and its descendants; processes only.
        cpu_seconds: processor time of the child; processes only.
        open_files: descriptors that the child may have open; processes only.
    """

    executor: ExecutorName
    timeout: float | None = None
    memory_mb: float | None = None
    cpu_seconds: float | None = None
    open_files: int | None = None

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        executor: str | None,
        timeout: float | None,
        memory_mb: float | None,
        cpu_seconds: float | None,
        open_files: int | None,
    ) -> Execution | None:
        """What was declared, checked; None: nothing was, and the job takes the shortest way.

        Raises:
            ValueError: a number or a name that cannot be.
            TypeError: the function cannot run there.
        """
        name = _checked(function, executor)
        limits = {"memory_mb": memory_mb, "cpu_seconds": cpu_seconds, "open_files": open_files}
        for what, value in {"timeout": timeout, **limits}.items():
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{what} must be above 0 and finite, got {value}")
        asked = [what for what, value in limits.items() if value is not None]
        if asked and name != "process":
            raise ValueError(f'{asked[0]} must go with executor="process", got {name!r}')
        if name != "process" and timeout is None:
            return None
        return cls(
            executor=name,
            timeout=timeout,
            memory_mb=memory_mb,
            cpu_seconds=cpu_seconds,
            open_files=open_files,
        )


def _checked(function: Callable[..., Any], executor: str | None) -> ExecutorName:
    is_async = inspect.iscoroutinefunction(function)
    if executor is None:
        return "async" if is_async else "thread"
    if executor not in _NAMES:
        raise ValueError(f"executor must be one of {', '.join(_NAMES)}, got {executor!r}")
    if executor == "process":
        refuse_unreachable(function)
        return "process"
    if is_async != (executor == "async"):
        kind = "an async function" if is_async else "a plain function"
        other = "async" if is_async else "thread"
        raise TypeError(
            f'executor of {kind} must be "{other}" or "process", got {executor!r} '
            f"for {function.__qualname__}"
        )
    return "async" if is_async else "thread"


def refuse_unreachable(function: Callable[..., Any]) -> None:
    """Raise TypeError for a function that another process cannot find by importing its module."""
    cure = "move it to the top level of a module that can be imported"
    if function.__module__ == "__main__":
        raise TypeError(
            f"a process task must not be declared in the program's own file, got "
            f"{function.__qualname__} in __main__; {cure}"
        )
    if "<" in function.__qualname__:
        raise TypeError(
            f"a process task must not be declared in a function, got {function.__qualname__}; {cure}"
        )
