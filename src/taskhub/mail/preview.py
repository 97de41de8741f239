"""A mail of the outbox as its reader sees it, for people who are not its reader."""

from sqlalchemy.orm import Session

from taskhub.mail.kinds import KINDS, sample
from taskhub.mail.layout import UnknownKind
from taskhub.mail.listing import UnknownMail
from taskhub.mail.outbox import OutboxMail
from taskhub.mail.render import Brand, Rendered, render
from taskhub.settings import Settings

# What stands where a code was: whoever looks at a mail must not be able to use it.
HIDDEN_CODE = "••••••"


def preview(session: Session, settings: Settings, mail_id: int) -> Rendered:
    """The mail with its own words, a code of dots, and links that lead to a page without its token.

    Bodies are not kept: it is written anew, by the templates of this version.

    Raises:
        UnknownMail: there is none.
        UnknownKind: no template of this version writes it.
        jinja2.UndefinedError: its stored values are not those that the template needs.
    """
    mail = session.get(OutboxMail, mail_id)
    if mail is None:
        raise UnknownMail(f"mail {mail_id} does not exist; see `taskhub mail ls`")
    if mail.kind not in KINDS:
        raise UnknownKind(f"kind must be a mail with templates, got {mail.kind!r}")
    brand = Brand.of(settings)
    common = {"code", "link", "reset_link", "minutes"}
    if mail.invitation_id is not None:
        common.add("hours")
    examples = sample(mail.kind, brand.home)
    values = {name: value for name, value in examples.items() if name in common}
    values |= {"code": HIDDEN_CODE, **mail.values}
    return render(
        mail.kind, mail.language, brand, **values, name=mail.recipient_name, address=mail.recipient
    )
