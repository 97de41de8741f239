"""Ways for mails to leave: one file a way, chosen by the setting `mail_sender`."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from email.message import EmailMessage
from typing import Protocol

from taskhub.mail.senders.directory import DirectorySender
from taskhub.mail.senders.refusals import Answer
from taskhub.mail.senders.smtp import SmtpSender
from taskhub.settings import BadSetting, Settings


class Line(Protocol):
    """A way out that is open; one thread at a time."""

    def send(self, messages: Sequence[EmailMessage]) -> list[Answer]:
        """See messages off; what was answered to each, None where it was taken.

        Blocks, so never on an event loop. What is refused does no harm to those behind it.
        """


class Sender(Protocol):
    """Opens ways out."""

    def line(self) -> AbstractContextManager[Line]:
        """A line for as long as the block lasts; connected when the first message needs it."""


def sender(settings: Settings) -> Sender:
    """The way out that the settings name.

    Raises:
        BadSetting: they name none that is known, or not enough of it.
    """
    if settings.mail_sender == "smtp":
        return SmtpSender(settings)
    if settings.mail_sender == "directory":
        if settings.mail_directory is None:
            raise BadSetting(
                "mail_directory must be set where mail_sender is directory, got nothing"
            )
        return DirectorySender(settings.mail_directory)
    raise BadSetting(f"mail_sender must be smtp or directory, got {settings.mail_sender!r}")
