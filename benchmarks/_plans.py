"""The plans of the statements inside functions, as auto_explain tells them."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.errors import Diagnostic

SETTINGS = {
    "client_min_messages": "log",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "auto_explain.log_min_duration": "0",  # the last one: from here on it talks
}


@contextmanager
def watched_plans(connection: psycopg.Connection[Any]) -> Iterator[dict[str, set[str]]]:
    """The shapes of the plans of what runs inside, by statement; needs a superuser."""
    found: dict[str, set[str]] = defaultdict(set)

    def note(said: Diagnostic) -> None:
        _, plan, told = (said.message_primary or "").partition("plan:")
        if plan:
            one = json.loads(told)
            found[one["Query Text"]].add(shape(one["Plan"]))

    connection.execute("LOAD 'auto_explain'")
    connection.add_notice_handler(note)
    for name, value in SETTINGS.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    found.clear()  # the settings' own
    try:
        yield found
    finally:
        connection.remove_notice_handler(note)


def shape(plan: dict[str, Any]) -> str:
    """The nodes of a plan with their tables and indexes, without its numbers."""
    node = plan["Node Type"]
    names = [plan[key] for key in ("Index Name", "Relation Name") if key in plan]
    inner = [shape(child) for child in plan.get("Plans", ())]
    named = f"{node}({' of '.join(names)})" if names else str(node)
    return f"{named}[{', '.join(inner)}]" if inner else named
