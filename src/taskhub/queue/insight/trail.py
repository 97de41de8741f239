"""Who changed what, as the audit has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskhub.queue.audit import AuditRow
from taskhub.queue.insight import asking

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub


def audit(
    hub: Hub,
    *,
    limit: int = 50,
    before_id: int | None = None,
    actor: str | None = None,
    action: str | None = None,
) -> list[AuditRow]:
    """What people changed, the newest first; older than `before_id` for the next page.

    `actor` and `action` are exact.
    """
    found = asking.rows(
        hub, "list_audit", limit=limit, before_id=before_id, actor=actor, action=action
    )
    return [AuditRow(**row) for row in found]
