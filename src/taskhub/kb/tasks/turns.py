"""Whose turn it is: tenants share fairly, plans have priorities, no tenant takes all workers."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from taskhub.accounts.models import Tenant
from taskhub.kb.documents.models import Document
from taskhub.queue import Task
from taskhub.settings import Settings


def turn(task: Task[..., Any], session: Session, document: Document, settings: Settings) -> Any:
    """The task, to be deferred in the caller's transaction in the turn of the document's tenant.

    The priority is that of the tenant's plan in `plan_priorities`, 0 for a plan that is not there.
    `tenant_jobs` bounds how many jobs of one tenant run at once in the whole fleet.
    """
    asked: dict[str, Any] = {}
    if settings.plan_priorities:
        plan = session.scalar(select(Tenant.plan).where(Tenant.id == document.tenant_id))
        asked["priority"] = int(settings.plan_priorities.get(plan or "", 0))
    if settings.tenant_jobs:
        asked["limit"] = f"tenant:{document.tenant_id}"
        asked["at_most"] = settings.tenant_jobs
    return task.options(session=session, **asked)
