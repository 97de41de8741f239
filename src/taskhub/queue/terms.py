"""What a worker hands on from one of its ids to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskhub.queue.executors import Pools

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What stays the same from one id of a worker to the next; `wake` ends the loop's rest."""

    hub: Hub
    conninfo: str
    name: str
    queues: Sequence[str] | None
    concurrency: int
    pools: Pools
    wake: Callable[[], None]
