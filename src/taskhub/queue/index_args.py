"""Arguments that jobs are searched by: the database keeps them of each job that is stored from then on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskhub.queue.arguments import Parameters
    from taskhub.queue.hub import Hub


def check_index_args(names: Sequence[str], parameters: Parameters) -> None:
    """Refuse what the function does not take, and what must not be readable.

    Raises:
        ValueError: a name is none of the function's, or a secret one's.
    """
    for name in names:
        if name not in parameters.names:
            known = ", ".join(sorted(parameters.names))
            raise ValueError(f"index_args must be parameters, {known}, got {name!r}")
        if name in parameters.secrets:
            raise ValueError(f"index_args must be no secrets, got {name!r}")


def declared(hub: Hub) -> str | None:
    """What declare_index_args takes: the names by task, as JSON; None where no task declares any.

    Jobs that wait may bear a former name of their task.
    """
    names = {name: task.index_args for name, task in hub.tasks.items() if task.index_args}
    return json.dumps(names) if names else None


def declare(hub: Hub) -> None:
    """Tell the database, in a transaction of its own, before the first job of a process is stored."""
    if (told := declared(hub)) is not None:
        hub.write("declare_index_args", declared=told)
