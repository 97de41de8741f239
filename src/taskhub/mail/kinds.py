"""Every mail there is: whose wish it is, what code it carries, and an example of its values."""

from dataclasses import dataclass, field
from typing import Any

from taskhub.accounts.codes import Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of mail.

    Attributes:
        purpose: of the code that it carries.
        path: of the page that its `link` opens, below the setting `mail_link_base`.
        seeks: the account is looked for when the mail's turn comes, so that asking for it takes the
            same time whether there is one or not.
        by_strangers: whoever knows an address can have it sent there, so that it is limited.
        is_last: nothing of it is kept, once it has left.
        sample: values for `taskhub mail preview`.
    """

    purpose: Purpose | None = None
    path: str = ""
    seeks: bool = False
    by_strangers: bool = False
    is_last: bool = False
    sample: dict[str, Any] = field(default_factory=dict)


_LINES = [
    "document_indexing: 12 failed, TimeoutError: no answer within 30 s",
    "mail_login: 1 failed, the server answered 550 no such person here",
]
_TENANT = {"tenant": "Handbook Ltd"}
NOT_FOUND = "account_not_found"

KINDS: dict[str, Kind] = {
    "verify_email": Kind(purpose=Purpose.verify_email, by_strangers=True),
    "account_exists": Kind(path="/sign-in", by_strangers=True),
    "reset_password": Kind(
        purpose=Purpose.reset_password, path="/reset-password", seeks=True, by_strangers=True
    ),
    NOT_FOUND: Kind(path="/sign-up"),
    "login": Kind(purpose=Purpose.login, seeks=True, by_strangers=True),
    "change_email_old": Kind(purpose=Purpose.change_email_old, by_strangers=True),
    "change_email_new": Kind(purpose=Purpose.change_email_new, by_strangers=True),
    "change_email_done": Kind(
        sample={"old_address": "old@example.com", "new_address": "mei@example.com"}
    ),
    "invite_member": Kind(
        path="/join", by_strangers=True, sample=_TENANT | {"inviter": "Ada", "hours": 72}
    ),
    "owner_transfer": Kind(purpose=Purpose.owner_transfer, sample=_TENANT | {"new_owner": "Ben"}),
    "owner_transfer_old": Kind(sample=_TENANT | {"new_owner": "Ben"}),
    "owner_transfer_new": Kind(sample=_TENANT | {"old_owner": "Ada"}),
    "delete_account": Kind(purpose=Purpose.delete_account, by_strangers=True),
    "account_deleted": Kind(is_last=True),
    "custom": Kind(
        sample={
            "subject": "Maintenance on Sunday",
            "paragraphs": ["Hello,", "the handbook is not to be reached on Sunday from 8 to 9 h."],
        }
    ),
    "documents_disabled": Kind(
        path="/datasets", sample={"lines": ["Handbook: 3 documents", "Archive: 41 documents"]}
    ),
    "failure_digest": Kind(
        path="/failures",
        sample={
            "subject": "13 jobs failed in the last hour",
            "intro": "",
            "is_alert": False,
            "lines": _LINES,
        },
    ),
}


def sample(name: str, link_base: str) -> dict[str, Any]:
    """Values for an example of a mail; those that every kind may use, and its own."""
    base = link_base.rstrip("/")
    return {
        "name": "Mei",
        "address": "mei@example.com",
        "code": "012345",
        "link": f"{base}{KINDS[name].path}",
        "reset_link": f"{base}{KINDS['reset_password'].path}",
        "minutes": 30,
        **KINDS[name].sample,
    }
