"""Arguments and results as they may be shown: without what is secret by its type or by its name."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

from taskhub.queue import Hub
from taskhub.queue.sealing import ENVELOPE
from taskhub.queue.secret import HIDDEN

MOST_CHARACTERS = 20_000


def shown(hub: Hub, task: str, value: Any, names: Iterable[str]) -> str:
    """JSON, indented, of a job's arguments or result.

    Stars stand for every secret parameter of the task, for what is encrypted, whoever declared it, and
    for whatever has a name that holds one of `names`, at any depth; case and underscores do not matter.
    """
    declared = hub.tasks.get(task)
    secret = frozenset(declared.parameters.secrets) if declared is not None else frozenset()
    parts = tuple(_plain(name) for name in names)
    text = json.dumps(_cleaned(value, parts, secret), ensure_ascii=False, indent=2)
    left_out = len(text) - MOST_CHARACTERS
    return text if left_out <= 0 else f"{text[:MOST_CHARACTERS]}\n… {left_out} more characters"


def _cleaned(value: Any, names: tuple[str, ...], secret: Collection[str] = ()) -> Any:
    if isinstance(value, dict):
        if ENVELOPE in value:
            return HIDDEN
        return {
            key: HIDDEN
            if key in secret or any(name in _plain(key) for name in names)
            else _cleaned(inner, names)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_cleaned(inner, names) for inner in value]
    return value


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
