"""Versions of a task's arguments: jobs stored by an older program are brought up step by step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from taskhub.queue.reading import UnreadableArguments

if TYPE_CHECKING:
    from taskhub.queue.task import Task

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
MAX_VERSION = 2**31 - 1


def check_version(version: Any) -> None:
    """Raise for what cannot be the version of a task."""
    if not isinstance(version, int) or isinstance(version, bool):
        raise TypeError(f"version must be a whole number, got {version!r:.100}")
    if not 1 <= version <= MAX_VERSION:
        raise ValueError(f"version must be from 1 to {MAX_VERSION}, got {version}")


def check_step(task: Task[..., Any], version: int) -> None:
    """Raise ValueError unless `version` is an older one of the task, and has no step yet."""
    check_version(version)
    if version >= task.version:
        raise ValueError(
            f"upcast must be from a version below {task.version}, the task's own, got {version}"
        )
    if version in task.upcasters:
        raise ValueError(f"task {task.name!r} has a step from version {version} already")


def bring_up(task: Task[..., Any], stored: str, version: int) -> str:
    """The text of a job's arguments as the task's own version has them.

    Raises:
        UnreadableArguments: a step is missing, or failed; the message names it.
    """
    try:
        arguments = json.loads(stored)
    except (ValueError, RecursionError) as error:
        raise UnreadableArguments(f"arguments of task {task.name}: {error}") from error
    for step in range(version, task.version):
        name = f"step from version {step} to {step + 1} of task {task.name}"
        if (upcast := task.upcasters.get(step)) is None:
            raise UnreadableArguments(f"the {name} is missing; declare it by @task.upcast({step})")
        try:
            arguments = upcast(arguments)
        except Exception as error:
            raise UnreadableArguments(
                f"the {name} failed: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(arguments, dict):
            raise UnreadableArguments(
                f"the {name} must return a dict, got {type(arguments).__name__}"
            )
    try:
        return json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnreadableArguments(f"what the steps made is no JSON: {error}") from error


def told(tasks: Mapping[str, Task[..., Any]]) -> dict[str, int]:
    """The versions of those tasks, by each of their names, that are not 1."""
    return {name: task.version for name, task in tasks.items() if task.version != 1}
