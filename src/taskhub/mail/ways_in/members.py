"""What people ask for others: to join a tenant, or to own it."""

from typing import Any

from sqlalchemy.orm import Session

from taskhub.accounts import changes, codes, invitations
from taskhub.accounts.changes import WrongCode
from taskhub.accounts.codes import Purpose
from taskhub.accounts.models import Account, Invitation, Language, Role, Tenant
from taskhub.mail.post import post, post_code
from taskhub.queue import Hub


def invite(
    hub: Hub,
    tenant_id: int,
    inviter_id: int,
    email: str,
    *,
    role: str = Role.member,
    language: str = Language.en_us,
) -> int:
    """Invite an address into a tenant for 72 hours and mail it; the invitation's id.

    Asked again while it is pending, it renews the same invitation and mails it once more.

    Raises:
        BadAccount, BadMember, BadInvitation: as `invitations.invite` says.
    """
    with hub.transaction() as session:
        made = invitations.invite(
            session, tenant_id, inviter_id, email, role=role, language=language
        )
        _post_invitation(session, hub, made)
        return made.id


def resend_invitation(hub: Hub, invitation_id: int) -> None:
    """Renew a pending invitation and mail it once more.

    Raises:
        BadInvitation: it is not pending.
    """
    with hub.transaction() as session:
        _post_invitation(session, hub, invitations.renew(session, invitation_id))


def _post_invitation(session: Session, hub: Hub, invitation: Invitation) -> None:
    inviter = session.get(Account, invitation.inviter_id) if invitation.inviter_id else None
    post(
        session, hub.settings, "invite_member", invitation.email, language=invitation.language,
        invitation=invitation, tenant=session.get_one(Tenant, invitation.tenant_id).name,
        inviter=inviter.name if inviter is not None else hub.settings.mail_brand,
    )  # fmt: skip


def accept_invitation(hub: Hub, token: str, name: str) -> int:
    """Join with the link of an invitation; the id of the account, made if the address had none.

    Raises:
        BadInvitation: the link is not good, or not any more.
        BadAccount: the name cannot be used.
    """
    with hub.transaction() as session:
        return invitations.accept(session, token, name).id


def ask_transfer(hub: Hub, tenant_id: int, owner_id: int, to_account_id: int) -> None:
    """Mail the owner the code that makes another member the owner of a tenant.

    Raises:
        BadMember: `owner_id` does not own it, or the other one is no member.
        UnknownAccount: one of them is disabled.
    """
    with hub.transaction() as session:
        new = changes.check_transfer(session, tenant_id, owner_id, to_account_id)
        owner = changes.living(session, owner_id)
        code = codes.issue(
            session, owner, Purpose.owner_transfer, hub.settings.code_minutes,
            tenant_id=tenant_id, to_account_id=to_account_id,
        )  # fmt: skip
        tenant = session.get_one(Tenant, tenant_id)
        post_code(session, hub.settings, owner, code, tenant=tenant.name, new_owner=new.name)


def confirm_transfer(hub: Hub, owner_id: int, code: str) -> None:
    """Hand the tenant over that the code is for, and tell the old and the new owner.

    Raises:
        WrongCode: it is not the code that was mailed.
        BadMember: the tenant changed hands, or the new owner left it, since then.
    """
    with hub.transaction() as session:
        spent = changes.transfer(session, owner_id, code)
        if spent is not None:
            tenant = session.get_one(Tenant, spent.tenant_id)
            old = session.get_one(Account, owner_id)
            new = session.get_one(Account, spent.to_account_id)
            _tell(session, hub, "owner_transfer_old", old, tenant.name, new_owner=new.name)
            _tell(session, hub, "owner_transfer_new", new, tenant.name, old_owner=old.name)
    if spent is None:
        raise WrongCode("the code is wrong, was used, or is too old; ask for another one")


def _tell(
    session: Session, hub: Hub, kind: str, account: Account, tenant: str, **owner: str
) -> None:
    values: dict[str, Any] = {"tenant": tenant, **owner}
    post(
        session, hub.settings, kind, account.email, name=account.name,
        language=account.language, account=account, **values,
    )  # fmt: skip
