"""A tenant goes with the account of the one person in it, and stays where somebody else is."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from taskhub import Hub, Status, app
from taskhub.accounts import members, people
from taskhub.accounts.models import Account, Member, Role, Tenant
from taskhub.accounts.tenants import ensure
from taskhub.kb.annotations.models import Annotation
from taskhub.kb.apps import create as apps
from taskhub.kb.apps.models import App
from taskhub.kb.cleaning.orphans import orphans
from taskhub.kb.datasets.create import create
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.segments.models import Segment
from taskhub.kb.tasks import cleaning as tasks
from taskhub.settings import Settings
from tests.kb.makers import make_indexed


@pytest.fixture
def library(settings: Settings, tmp_path: Path) -> Iterator[Hub]:
    (tmp_path / "mails").mkdir()
    posting = {"mail_sender": "directory", "mail_directory": tmp_path / "mails"}
    hub = app.build(dataclasses.replace(settings, **posting))  # type: ignore[arg-type]  # of two types
    yield hub
    hub.close()


def person(hub: Hub, name: str) -> int:
    with hub.transaction() as session:
        return people.create(session, f"{name}@example.com", name).id


def tenant(hub: Hub, name: str, **roles: int) -> int:
    """A tenant with a dataset, an app and these people, each by their role."""
    with hub.transaction() as session:
        made = ensure(session, name).id
        dataset = create(session, made, "rivers", embedding_model="hash")
        make_indexed(session, dataset, "Otters swim.", "Otters sleep.")
        apps.join(session, apps.create(session, made, "helpdesk").id, [dataset.id])
        for role, account_id in roles.items():
            members.add(session, made, account_id, role)
        return made


def erase(hub: Hub, account_id: int) -> None:
    with hub.transaction() as session:
        session.get_one(Account, account_id).disabled_at = func.now()
    job = hub.tasks["delete_account"].defer(account_id)
    hub.run_worker(wait=False)
    assert job.status() is Status.SUCCEEDED


def left(hub: Hub) -> dict[str, list[int]]:
    with hub.transaction() as session:
        return {
            "tenants": list(session.scalars(select(Tenant.id).order_by(Tenant.id))),
            "datasets": list(session.scalars(select(Dataset.tenant_id).order_by(Dataset.id))),
            "apps": list(session.scalars(select(App.tenant_id).order_by(App.id))),
        }


def test_a_tenant_that_its_owner_was_alone_in_goes_with_all_it_has(library: Hub) -> None:
    mei, ben = person(library, "Mei"), person(library, "Ben")
    tenant(library, "Mei's", owner=mei)
    bens = tenant(library, "Ben's", owner=ben, member=mei)
    nobodys = tenant(library, "of the command line")

    erase(library, mei)

    both = [bens, nobodys]
    assert left(library) == {"tenants": both, "datasets": both, "apps": both}
    with library.transaction() as session:
        assert orphans(session) == {}
        assert session.scalar(select(func.count()).select_from(Segment)) == 4
        assert session.scalar(select(func.count()).select_from(Annotation)) == 0


def test_a_tenant_that_somebody_joined_meanwhile_gets_an_owner(library: Hub) -> None:
    mei, ben, eva = (person(library, name) for name in ("Mei", "Ben", "Eva"))
    made = tenant(library, "Mei's", owner=mei, member=ben, editor=eva)

    erase(library, mei)

    assert left(library)["datasets"] == [made]
    with library.transaction() as session:
        rows = session.execute(select(Member.account_id, Member.role).order_by(Member.account_id))
        assert [tuple(row) for row in rows] == [(ben, Role.member), (eva, Role.owner)]


def test_a_tenant_with_people_is_never_removed_by_a_job_alone(library: Hub) -> None:
    made = tenant(library, "Mei's", owner=person(library, "Mei"))

    job = tasks.clean_tenant.options(autocommit=True).defer(made)
    library.run_worker(wait=False)

    assert job.status() is Status.FAILED
    assert "has people in it" in (job.attempts()[0].error_message or "")
    assert left(library) == {"tenants": [made], "datasets": [made], "apps": [made]}
