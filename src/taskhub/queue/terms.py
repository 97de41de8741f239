"""What a worker works on, for whom and with what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskhub.queue.executors import Pools

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What stays the same from one id of a worker to the next; `wake` ends the loop's rest.

    `drain` is told "end" or "stay" while somebody asks the worker to take no more jobs.
    """

    hub: Hub
    conninfo: str
    name: str
    queues: Sequence[str] | None
    weights: Mapping[str, int] | None
    concurrency: int
    pools: Pools
    wake: Callable[[], None]
    drain: Callable[[str], None]
