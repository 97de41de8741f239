"""The hub on which pages read: few connections, each read-only, none that asks for long."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from sqlalchemy import event

from taskhub import db
from taskhub.queue import Hub
from taskhub.settings import Settings

# One connection stays open; a page that comes while it is busy has one of its own for that moment.
KEPT = 1
MORE = 3
_CACHED = ("engine", "_autocommit", "_deferrer", "lookout", "reporter")


def reader(hub: Hub, settings: Settings) -> Hub:
    """The same hub on a small pool of its own, whose sessions Postgres lets only read.

    Raises:
        BadAddress: dashboard_database_url is no postgresql:// url.
    """
    url = hub.url
    if settings.dashboard_database_url is not None:
        url = db.address(settings.dashboard_database_url)
    milliseconds = int(settings.dashboard_query_seconds * 1000)
    options = f"-c default_transaction_read_only=on -c statement_timeout={milliseconds}"
    made = copy.copy(hub)
    for name in _CACHED:
        made.__dict__.pop(name, None)
    made.__dict__["settings"] = dataclasses.replace(
        hub.settings, question_seconds=settings.dashboard_query_seconds
    )
    made.__dict__["engine"] = engine = db.engine(
        url.update_query_dict({"options": options, "application_name": "taskhub dashboard"}),
        settings,
        pool_size=KEPT,
        max_overflow=MORE,
        pool_timeout=settings.dashboard_query_seconds + 5,
        # A server that was started anew must not cost the next page an error.
        pool_pre_ping=True,
    )
    # SQLAlchemy gives a connection back as one that writes once somebody has asked it to read only.
    event.listen(engine, "checkout", _read_only)
    return made


def _read_only(connection: Any, _record: object, _proxy: object) -> None:
    connection.read_only = True
