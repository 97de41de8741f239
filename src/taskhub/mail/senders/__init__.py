"""Ways for a mail to leave: one file a way, chosen by the setting `mail_sender`."""

from email.message import EmailMessage
from typing import Protocol

from taskhub.mail.senders.directory import DirectorySender
from taskhub.mail.senders.smtp import SmtpSender
from taskhub.settings import BadSetting, Settings


class Sender(Protocol):
    """Takes one message and sees it off."""

    def send(self, message: EmailMessage) -> None:
        """Return when the next server has taken the message; blocks, so never on an event loop.

        Raises:
            PermanentRefusal: it will never be taken.
            TransientRefusal: it was not taken now.
        """


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
