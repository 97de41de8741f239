"""People who are asked to join a tenant: by a link in a mail, for three days."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.accounts import members, people
from taskhub.accounts.members import BadMember
from taskhub.accounts.models import Account, Invitation, Language, Member, Role, Tenant

HOURS = 72


class BadInvitation(ValueError):
    """An invitation cannot be made, sent again or accepted; the message says why."""


def invite(
    session: Session,
    tenant_id: int,
    inviter_id: int,
    email: str,
    *,
    role: str = Role.member,
    language: str = Language.en_us,
) -> Invitation:
    """The invitation of an address, good for 72 hours from now.

    One that is pending is renewed: its link stays the same, so that older mails work too.

    Raises:
        BadAccount: the address or the language cannot be used.
        BadMember: there is no such role.
        BadInvitation: owners are not invited, or the person is a member already.
    """
    email, language = people.checked_address(email), people.checked_language(language)
    role = members.checked_role(role)
    if role == Role.owner:
        raise BadInvitation("nobody is invited as owner; transfer the tenant to a member instead")
    _check_inviter(session, tenant_id, inviter_id)
    if _is_member(session, tenant_id, email):
        raise BadInvitation(f"{email} is a member of tenant {tenant_id} already")
    found = _pending(session, tenant_id, email)
    if found is None:
        found = Invitation(
            tenant_id=tenant_id, email=email, token=secrets.token_urlsafe(32), language=language
        )
        session.add(found)
    found.inviter_id, found.role, found.expires_at = inviter_id, role, _expiry()
    session.flush()
    return found


def renew(session: Session, invitation_id: int) -> Invitation:
    """The same invitation, good for another 72 hours.

    Raises:
        BadInvitation: there is none, or it was accepted or revoked.
    """
    found = session.get(Invitation, invitation_id, with_for_update=True, populate_existing=True)
    if found is None or found.token is None:
        raise BadInvitation(f"invitation {invitation_id} is not pending; invite the address anew")
    found.expires_at = _expiry()
    session.flush()
    return found


def revoke(session: Session, invitation_id: int) -> bool:
    """Make a pending invitation worth nothing; False: it is not pending."""
    found = session.get(Invitation, invitation_id, with_for_update=True, populate_existing=True)
    if found is None or found.token is None:
        return False
    found.token = None
    session.flush()
    return True


def accept(session: Session, token: str, name: str) -> Account:
    """The account that the link's owner joins with; made and verified, if the address has none.

    Raises:
        BadInvitation: the link is not good, or not any more.
        BadAccount: the name of a new account cannot be used.
    """
    found = session.scalars(
        select(Invitation)
        .where(Invitation.token == token, Invitation.expires_at > func.clock_timestamp())
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if found is None:
        raise BadInvitation("the invitation was used, revoked or is too old; ask for another one")
    account = people.find(session, found.email)
    if account is None:
        account = people.create(session, found.email, name, found.language)
    if account.disabled_at is not None:
        raise BadInvitation("the account of this address is disabled")
    # Whoever has the link can read what is mailed there.
    account.verified_at = account.verified_at or func.now()
    found.token, found.accepted_at = None, func.now()
    members.add(session, found.tenant_id, account.id, found.role)
    session.flush()
    return account


def worthless(invitation: Invitation, at: datetime) -> str | None:
    """Why it is no use to mail the invitation, or None: it is good. `at` is the database's now."""
    if invitation.accepted_at is not None:
        return "invitation accepted"
    if invitation.token is None:
        return "invitation revoked"
    return "invitation expired" if at >= invitation.expires_at else None


def _check_inviter(session: Session, tenant_id: int, inviter_id: int) -> None:
    if session.get(Tenant, tenant_id) is None:
        raise BadInvitation(f"tenant {tenant_id} does not exist")
    inviter = session.get(Member, (tenant_id, inviter_id))
    if inviter is None or inviter.role not in (Role.owner, Role.admin):
        raise BadMember(f"account {inviter_id} must be owner or admin of tenant {tenant_id}")


def _is_member(session: Session, tenant_id: int, email: str) -> bool:
    account = people.find(session, email)
    return account is not None and session.get(Member, (tenant_id, account.id)) is not None


def _pending(session: Session, tenant_id: int, email: str) -> Invitation | None:
    # Two at once take turns by the tenant's row: both would find nothing and collide on the index.
    session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))
    return session.scalars(
        select(Invitation).where(
            Invitation.tenant_id == tenant_id,
            func.lower(Invitation.email) == func.lower(email),
            Invitation.token.is_not(None),
        )
    ).one_or_none()


def _expiry() -> Any:
    return func.clock_timestamp() + timedelta(hours=HOURS)
