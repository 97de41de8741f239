"""Invitations and transfers, with the mails they need."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from taskhub import Hub
from taskhub.accounts import invitations, members, people
from taskhub.accounts.changes import WrongCode
from taskhub.accounts.invitations import BadInvitation
from taskhub.accounts.members import BadMember
from taskhub.accounts.models import Account, Invitation, Member
from taskhub.accounts.tenants import ensure
from taskhub.mail import ways_in
from tests.mail.conftest import HubFor
from tests.mail.office import mails, work
from tests.mail.server import Server
from tests.mail.ways_in.test_people import code_in, text


@pytest.fixture
def hub(hub_for: HubFor, smtp: Server) -> Hub:
    return hub_for(smtp)


@pytest.fixture
def tenant(hub: Hub) -> tuple[int, int, int]:
    """A tenant, its owner Ada, and Ben, who is in it."""
    with hub.transaction() as session:
        made = ensure(session, "Handbook Ltd")
        ada = people.create(session, "ada@example.com", "Ada")
        ben = people.create(session, "ben@example.com", "Ben", "zh-Hans")
        members.add(session, made.id, ada.id, "owner")
        members.add(session, made.id, ben.id, "editor")
        return made.id, ada.id, ben.id


def roles(hub: Hub, tenant_id: int) -> dict[int, str]:
    with hub.transaction() as session:
        rows = session.execute(
            select(Member.account_id, Member.role).where(Member.tenant_id == tenant_id)
        )
        return {account_id: role for account_id, role in rows}  # noqa: C416 - rows are no pairs to mypy


def token_in(server: Server, n: int) -> str:
    found = re.search(r"/join\?token=(\S+)", text(server.mails[n]))
    assert found is not None
    return found[1]


def test_an_invited_stranger_joins_with_a_new_verified_account(
    hub: Hub, smtp: Server, tenant: tuple[int, int, int]
) -> None:
    tenant_id, ada, _ = tenant
    ways_in.invite(hub, tenant_id, ada, "mei@example.com", role="editor", language="zh-Hans")
    work(hub)

    assert smtp.mails[0]["Subject"] == "Ada 邀请您加入 taskhub 的 Handbook Ltd"
    joined = ways_in.accept_invitation(hub, token_in(smtp, 0), "Mei")

    assert roles(hub, tenant_id)[joined] == "editor"
    with hub.transaction() as session:
        account = session.get_one(Account, joined)
        assert (account.email, account.language) == ("mei@example.com", "zh-Hans")
        assert account.verified_at is not None
    with pytest.raises(BadInvitation, match="was used, revoked or is too old"):
        ways_in.accept_invitation(hub, token_in(smtp, 0), "Mei")


def test_an_invitation_is_sent_again_while_it_is_pending_and_both_links_work(
    hub: Hub, smtp: Server, tenant: tuple[int, int, int]
) -> None:
    tenant_id, ada, _ = tenant
    first = ways_in.invite(hub, tenant_id, ada, "mei@example.com")
    work(hub)
    with hub.transaction() as session:
        session.execute(update(Invitation).values(expires_at=func.now() + timedelta(hours=1)))

    ways_in.resend_invitation(hub, first)
    assert ways_in.invite(hub, tenant_id, ada, "MEI@example.com") == first
    work(hub)

    assert token_in(smtp, 0) == token_in(smtp, 1) == token_in(smtp, 2)
    assert "good for 71 h" in text(smtp.mails[1])
    ways_in.accept_invitation(hub, token_in(smtp, 0), "Mei")
    with pytest.raises(BadInvitation, match="is not pending"):
        ways_in.resend_invitation(hub, first)


def test_an_invitation_that_was_revoked_or_is_too_old_opens_nothing_and_is_not_mailed(
    hub: Hub, smtp: Server, tenant: tuple[int, int, int]
) -> None:
    tenant_id, ada, _ = tenant
    revoked = ways_in.invite(hub, tenant_id, ada, "mei@example.com")
    ways_in.invite(hub, tenant_id, ada, "zoe@example.com")
    with hub.transaction() as session:
        tokens = session.scalars(select(Invitation.token)).all()
        assert invitations.revoke(session, revoked)
        session.execute(
            update(Invitation)
            .where(Invitation.id != revoked)
            .values(expires_at=func.now() - timedelta(seconds=1))
        )
    work(hub)

    assert smtp.mails == []
    assert [mail.error for mail in mails(hub)] == ["invitation revoked", "invitation expired"]
    for token in tokens:
        with pytest.raises(BadInvitation):
            ways_in.accept_invitation(hub, str(token), "Mei")


def test_only_owners_and_admins_invite_and_nobody_invites_owners_or_members(
    hub: Hub, tenant: tuple[int, int, int]
) -> None:
    tenant_id, ada, ben = tenant

    with pytest.raises(BadMember, match="must be owner or admin"):
        ways_in.invite(hub, tenant_id, ben, "mei@example.com")
    with pytest.raises(BadInvitation, match="nobody is invited as owner"):
        ways_in.invite(hub, tenant_id, ada, "mei@example.com", role="owner")
    with pytest.raises(BadInvitation, match="is a member of tenant"):
        ways_in.invite(hub, tenant_id, ada, "BEN@example.com")
    with pytest.raises(BadMember, match="role must be owner, admin, editor or member"):
        ways_in.invite(hub, tenant_id, ada, "mei@example.com", role="king")


def test_a_tenant_changes_hands_by_a_code_and_both_are_told(
    hub: Hub, smtp: Server, tenant: tuple[int, int, int]
) -> None:
    tenant_id, ada, ben = tenant
    ways_in.ask_transfer(hub, tenant_id, ada, ben)
    work(hub)
    assert "make Ben the owner of Handbook Ltd" in text(smtp.mails[0])

    ways_in.confirm_transfer(hub, ada, code_in(smtp.mails[0]))
    work(hub)

    assert roles(hub, tenant_id) == {ada: "admin", ben: "owner"}
    told = {str(mail["To"]): str(mail["Subject"]) for mail in smtp.mails[1:]}
    assert told == {
        "Ada <ada@example.com>": "You no longer own Handbook Ltd",
        "Ben <ben@example.com>": "您现在是 Handbook Ltd 的所有者",
    }


def test_a_wrong_code_changes_no_owner(
    hub: Hub, smtp: Server, tenant: tuple[int, int, int]
) -> None:
    tenant_id, ada, ben = tenant
    ways_in.ask_transfer(hub, tenant_id, ada, ben)
    work(hub)
    code = code_in(smtp.mails[0])

    with pytest.raises(WrongCode):
        ways_in.confirm_transfer(hub, ada, "000000" if code != "000000" else "000001")
    with pytest.raises(WrongCode):
        ways_in.confirm_transfer(hub, ben, code)

    assert roles(hub, tenant_id) == {ada: "owner", ben: "editor"}


def test_a_tenant_goes_to_nobody_who_has_left_it(
    hub: Hub, smtp: Server, tenant: tuple[int, int, int]
) -> None:
    tenant_id, ada, ben = tenant
    ways_in.ask_transfer(hub, tenant_id, ada, ben)
    work(hub)
    with hub.transaction() as session:
        assert members.remove(session, tenant_id, ben)

    with pytest.raises(BadMember, match="is no member"):
        ways_in.confirm_transfer(hub, ada, code_in(smtp.mails[0]))

    assert roles(hub, tenant_id) == {ada: "owner"}


def test_a_tenant_has_one_owner_and_keeps_it(hub: Hub, tenant: tuple[int, int, int]) -> None:
    tenant_id, ada, ben = tenant

    for change in (
        lambda s: members.add(s, tenant_id, ben, "owner"),
        lambda s: members.set_role(s, tenant_id, ben, "owner"),
        lambda s: members.set_role(s, tenant_id, ada, "member"),
        lambda s: members.remove(s, tenant_id, ada),
    ):
        with hub.transaction() as session, pytest.raises(BadMember):
            change(session)

    with hub.transaction() as session:
        members.set_role(session, tenant_id, ben, "admin")
    assert roles(hub, tenant_id) == {ada: "owner", ben: "admin"}
