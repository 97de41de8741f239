"""What the system family does for the knowledge base: rows without an owner are counted, owners are told."""

from collections import Counter

from sqlalchemy import func, select, update

from taskhub.kb.cleaning.models import DatasetAutoDisabled
from taskhub.kb.cleaning.orphans import orphans
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document
from taskhub.mail import ways_in
from taskhub.queue import Backoff, Context, Fail
from taskhub.system.blueprint import system


@system.task(name="orphan_check", queue="system", lock="orphan_check", timeout=3600)
def orphan_check(ctx: Context) -> dict[str, int]:
    """Count rows without their owner; fails, and so is told of, if there is one."""
    with ctx.hub.transaction() as session:
        found = orphans(session)
    if found:
        told = ", ".join(f"{number} {kind}" for kind, number in sorted(found.items()))
        raise Fail(f"rows without their owner: {told}; run `taskhub clean orphans --dry-run`")
    return found


@system.task(
    name="documents_disabled_notice", queue="system", lock="documents_disabled", retry=Backoff()
)
def documents_disabled_notice(ctx: Context) -> dict[str, int]:
    """Tell each tenant's owner which documents were disabled with their unused datasets, once.

    Those that somebody has enabled again are left out. Each tenant is a transaction of its own, with
    its mail.
    """
    tenants = mails = 0
    while True:
        with ctx.hub.transaction() as session:
            tenant_id = session.scalar(
                select(func.min(DatasetAutoDisabled.tenant_id)).where(
                    DatasetAutoDisabled.notified_at.is_(None)
                )
            )
            if tenant_id is None:
                return {"tenants": tenants, "mails": mails}
            told = session.execute(
                update(DatasetAutoDisabled)
                .where(
                    DatasetAutoDisabled.tenant_id == tenant_id,
                    DatasetAutoDisabled.notified_at.is_(None),
                )
                .values(notified_at=func.now())
                .returning(DatasetAutoDisabled.document_id)
            ).scalars()
            names = session.scalars(
                select(Dataset.name)
                .join(Document, Document.dataset_id == Dataset.id)
                .where(Document.id.in_(list(told)), Document.enabled.is_(False))
            )
            counts = Counter(names)
            tenants += 1
            if ways_in.documents_disabled(ctx.hub, tenant_id, counts, session=session) is not None:
                mails += 1
