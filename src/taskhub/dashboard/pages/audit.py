"""Audit: who changed what, when and why."""

from __future__ import annotations

import json

from starlette.responses import Response

from taskhub.dashboard import asking
from taskhub.dashboard.routing import screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import insight
from taskhub.queue.audit import AuditRow

PAGE = 50
MAX_TARGET = 300
KINDS = {mark("done"): "ok", mark("partly"): "warn", "failed": "bad"}


def listing(visit: Visit) -> Response:
    """What people changed, the newest first, of all or of one person or action."""
    actor, verb = visit.asked("actor"), visit.asked("action")
    found = insight.audit(
        visit.reader,
        limit=PAGE + 1,
        before_id=asking.number(visit, "before"),
        actor=actor or None,
        action=verb or None,
    )
    shown = found[:PAGE]
    following = len(found) > PAGE and visit.url(
        "audit", query={"actor": actor, "action": verb, "before": shown[-1].id}
    )
    return visit.page(
        "audit.html", rows=shown, actor=actor, action=verb, kinds=KINDS, following=following,
        target=_target,
    )  # fmt: skip


def _target(row: AuditRow) -> str:
    """What it was about, short enough for a row: of thousands of ids the first say enough."""
    told = json.dumps(row.target, ensure_ascii=False)
    return told if len(told) <= MAX_TARGET else f"{told[:MAX_TARGET]}…"


ROUTES = (screen("/audit", listing, name="audit", title=mark("Audit"), nav=120),)
