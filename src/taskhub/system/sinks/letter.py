"""Notices by mail: the sender and the brand are those of the other mails."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from taskhub.settings import Settings
from taskhub.system.sinks.refusals import Refused

if TYPE_CHECKING:
    from taskhub.system.sinks import Message


def send(settings: Settings, address: str, message: Message) -> None:
    """Mail a notice to one address; the Message-ID is made of the message's key.

    Raises:
        Refused: the server did not take it.
    """
    from taskhub.mail import outbox
    from taskhub.mail.compose import compose, domain
    from taskhub.mail.render import Rendered
    from taskhub.mail.senders import sender
    from taskhub.mail.senders.refusals import PermanentRefusal

    try:
        mail = compose(
            Rendered(subject=message.subject, text=_text(message), html=_html(message)),
            sender=(settings.mail_brand, settings.mail_from),
            recipient=("", address),
            message_id=outbox.message_id(f"{message.key}-{address}", domain(settings.mail_from)),
        )
    except ValueError as error:
        raise Refused(f"no mail can be made for {address!r}: {error}", is_final=True) from error
    with sender(settings).line() as line:
        [answer] = line.send([mail])
    if answer is not None:
        raise Refused(str(answer), is_final=isinstance(answer, PermanentRefusal))


def _text(message: Message) -> str:
    return "\n".join([message.subject, "", *(f"- {line}" for line in message.lines), ""])


def _html(message: Message) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in message.lines)
    return f"<html><body><p>{escape(message.subject)}</p><ul>{items}</ul></body></html>"
