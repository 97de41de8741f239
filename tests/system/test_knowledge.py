"""What the system family does for the knowledge base, on a real worker."""

import dataclasses
from collections.abc import Iterator

import pytest
from sqlalchemy import select, text, update

from taskhub import Hub, app
from taskhub.accounts import members, people
from taskhub.accounts.models import Role
from taskhub.kb.cleaning.models import DatasetAutoDisabled
from taskhub.kb.documents.models import Document
from taskhub.mail.outbox import OutboxMail
from taskhub.queue import insight
from taskhub.settings import Settings
from taskhub.system import knowledge
from tests.kb.makers import make_dataset, make_indexed


@pytest.fixture
def built(settings: Settings) -> Iterator[Hub]:
    hub = app.build(dataclasses.replace(settings, monitor_cron=""))
    yield hub
    hub.close()


def test_rows_without_their_owner_make_the_check_fail_and_say_what_to_run(built: Hub) -> None:
    clean = knowledge.orphan_check.options(autocommit=True).defer()
    built.run_worker(wait=False)
    assert insight.job(built, clean.id).status == "succeeded"

    with built.transaction() as session:
        document = make_indexed(session, make_dataset(session), "Otters swim.")
        # As a hand in the database may: past the foreign keys.
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(
            text("DELETE FROM taskhub_kb.documents WHERE id = :id"), {"id": document.id}
        )
    broken = knowledge.orphan_check.options(autocommit=True).defer()
    built.run_worker(wait=False)

    told = insight.job(built, broken.id)
    assert told.status == "failed"
    assert "1 segments" in (told.history[-1].error_message or "")
    assert "taskhub clean orphans --dry-run" in (told.history[-1].error_message or "")


def test_an_owner_is_told_once_of_documents_that_are_still_disabled(built: Hub) -> None:
    with built.transaction() as session:
        dataset = make_dataset(session)
        owner = people.create(session, "owner@example.com", "Olga", "en-US")
        members.add(session, dataset.tenant_id, owner.id, Role.owner)
        off = make_indexed(session, dataset, "Otters swim.")
        on_again = make_indexed(session, dataset, "Badgers dig.")
        for document in (off, on_again):
            session.add(
                DatasetAutoDisabled(
                    document_id=document.id, dataset_id=dataset.id, tenant_id=dataset.tenant_id
                )
            )
        session.execute(update(Document).where(Document.id == off.id).values(enabled=False))
        name = dataset.name

    for _ in range(2):
        knowledge.documents_disabled_notice.options(autocommit=True).defer()
        built.run_worker(queues=["system"], wait=False)

    with built.transaction() as session:
        [mail] = session.scalars(select(OutboxMail)).all()
        assert (mail.kind, mail.recipient) == ("documents_disabled", "owner@example.com")
        assert f"{name}: 1" in str(mail.__dict__)
