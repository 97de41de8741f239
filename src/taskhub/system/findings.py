"""What a rule finds, and what it may look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from sqlalchemy import text

from taskhub import migrations
from taskhub.queue import Hub, insight
from taskhub.queue.states import QueueState

Severity = Literal["warning", "critical"]
MAX_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong now.

    Attributes:
        about: tells findings of one rule apart, a queue's name; empty where there is one at most.
        remedy: the command or the step that mends it.
        is_silent: shown on screens, and no notice is made of it.
    """

    text: str
    remedy: str
    about: str = ""
    severity: Severity = "warning"
    is_silent: bool = False


class Reader:
    """The queue and the knowledge base as the rules of one look see them."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.settings = hub.settings

    @cached_property
    def queues(self) -> list[QueueState]:
        """Every queue with its counts; counted once a look."""
        return insight.queues(self.hub)

    @cached_property
    def has_knowledge_base(self) -> bool:
        """Whether the tables of the knowledge base are there, as this version needs them."""
        return has_tables(self.hub)


def has_tables(hub: Hub) -> bool:
    """Whether alerts, notices and statistics have tables: a server without pgvector has none."""
    with hub.engine.connect() as connection:
        found = connection.scalar(
            text("SELECT to_regclass(:name)"), {"name": f"{hub.settings.kb_schema}.alerts"}
        )
    return found is not None


def lacking(hub: Hub, branch: str) -> str | None:
    """What the schema of a branch, "queue" or "kb", lacks, in one line."""
    with hub.engine.connect() as connection:
        return migrations.behind(connection, hub.settings, branch=branch)
