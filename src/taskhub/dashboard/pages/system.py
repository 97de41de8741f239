"""System: what taskhub stands on, how much room it takes, how it is set, and whether all is well."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed

from sqlalchemy import text
from sqlalchemy.orm import Session
from starlette.responses import Response

from taskhub.dashboard.routing import screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import horizon
from taskhub.settings.masking import shown
from taskhub.system import doctor, storage

WORST_FIRST = ("fail", "warn", "ok", "skipped")
KINDS = {mark("ok"): "ok", mark("warn"): "warn", mark("fail"): "bad", mark("skipped"): "off"}
DEAD_SHARE = 0.2


def show(visit: Visit) -> Response:
    """Versions, the largest tables, who holds vacuum up, and the settings with where each came from."""
    with Session(visit.reader.engine) as session:
        tables = storage.tables(session, visit.reader.settings)
        server = session.scalar(text("SHOW server_version"))
    versions = {
        "taskhub": installed("taskhub"),
        "procrastinate": installed("procrastinate"),
        "PostgreSQL": server,
        "Python": platform.python_version(),
    }
    return visit.page(
        "system.html", tables=tables, versions=versions, holders=horizon.holders(visit.reader),
        rows=shown(visit.house.settings), dead_share=DEAD_SHARE,
    )  # fmt: skip


def checks(visit: Visit) -> Response:
    """Every check of `taskhub doctor`, made now, with the step that mends what is wrong."""
    made = sorted(doctor.examine(visit.reader), key=lambda check: WORST_FIRST.index(check.state))
    return visit.page("checks.html", live=False, checks=made, kinds=KINDS)


ROUTES = (
    screen("/system", show, name="system", title=mark("System"), role="operate", nav=130),
    screen("/system/checks", checks, name="system.checks", title=mark("Checks"), role="operate"),
)
