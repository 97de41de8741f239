"""Which jobs are meant: what people type, as the statements take it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are meant; what is empty leaves nothing out.

    Attributes:
        tasks: names or globs.
        since: deferred, started or ended within this time on the database's clock, or since then.
        error: a glob over the last error's class, message, or both as "class: message"; without
            `*` and `?` it is looked for inside them. Case does not matter.
    """

    queues: Sequence[str] = ()
    tasks: Sequence[str] = ()
    statuses: Sequence[str] = ()
    since: datetime | timedelta | None = None
    error: str | None = None
    fingerprint: str | None = None

    def parameters(self) -> dict[str, Any]:
        """What the statements take."""
        since = self.since
        return {
            "queues": list(self.queues) or None,
            "tasks": [like(task) for task in self.tasks] or None,
            "statuses": list(self.statuses) or None,
            "since_at": since if isinstance(since, datetime) else None,
            "since_seconds": since.total_seconds() if isinstance(since, timedelta) else None,
            "error": None if self.error is None else _anywhere(self.error),
            "fingerprint": self.fingerprint,
        }


def like(glob: str) -> str:
    """A glob of `*` and `?` as LIKE takes it."""
    escaped = re.sub(r"([\\%_])", r"\\\1", glob)
    return escaped.replace("*", "%").replace("?", "_")


def _anywhere(glob: str) -> str:
    return like(glob) if set(glob) & set("*?") else f"%{like(glob)}%"
