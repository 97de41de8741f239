"""What names a person is blanked in the queue's tables: arguments, keys, results, errors and logs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from taskhub.queue import sql

# A shorter word is found in too many that mean something else.
MIN_CHARACTERS = 2


@dataclass(frozen=True, slots=True)
class Traces:
    """What to look for.

    Attributes:
        sure: texts that name nobody else, addresses for one; blanked wherever they stand by themselves.
        also: texts that others may share, a name; blanked in what is about the person alone.
        about: arguments by which a job is about the person.
    """

    sure: tuple[str, ...]
    also: tuple[str, ...] = ()
    about: Mapping[str, Any] | None = None

    def parameters(self) -> dict[str, str]:
        """As the statements take them."""
        return {
            "sure": pattern(self.sure),
            "also": pattern(self.also),
            # No arguments contain this.
            "about": json.dumps(self.about or {"": "nobody"}),
        }


@dataclass(frozen=True, slots=True)
class Place:
    """How far the erasing has come; the next stretch begins behind it."""

    job_id: int = 0
    claim: int = 0


def pattern(texts: Iterable[str]) -> str:
    """A regular expression of Postgres for these texts, as they stand in text, JSON and URLs.

    They are found where no letter, digit or part of an address goes on before or behind them.
    """
    forms = {
        form
        for text in texts
        if len(text) >= MIN_CHARACTERS
        for form in (
            text,
            quote(text),
            quote(text, safe=""),
            json.dumps(text)[1:-1],
            json.dumps(text, ensure_ascii=False)[1:-1],
        )
    }
    if not forms:
        return "(?!)"  # matches nothing
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return rf"(?<![\w.+-])(?:{'|'.join(map(_literal, longest_first))})(?![\w-]|\.\w)"


def _literal(text: str) -> str:
    # Before a letter or digit a backslash would mean something.
    return re.sub(r"([^\w\s]|\s)", lambda m: rf"\{m[1]}", text, flags=re.ASCII) if text else ""


def erase_jobs(
    connection: Connection, schema: str, traces: Traces, place: Place, *, limit: int
) -> tuple[Place | None, int]:
    """Blank the next `limit` jobs in the caller's transaction; where to go on, None at the end; how many.

    Arguments of jobs that wait or run are blanked too, but not their names and keys.
    """
    row = connection.exec_driver_sql(
        sql.load("erase_jobs", schema),
        traces.parameters() | {"after_id": place.job_id, "limit": limit},
    ).one()
    return (Place(row.last_id) if row.last_id is not None else None), row.erased


def erase_attempts(
    connection: Connection, schema: str, traces: Traces, place: Place, *, limit: int
) -> tuple[Place | None, int]:
    """Blank the next `limit` runs of the history; as `erase_jobs`."""
    row = connection.exec_driver_sql(
        sql.load("erase_attempts", schema),
        traces.parameters()
        | {"after_job": place.job_id, "after_claim": place.claim, "limit": limit},
    ).one()
    following = Place(row.last_job, row.last_claim) if row.last_job is not None else None
    return following, row.erased
