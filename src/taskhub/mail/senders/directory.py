"""Mails as .eml files in a folder, for development: every mail program opens them."""

import email.policy
import os
from email.message import EmailMessage
from pathlib import Path

from taskhub.mail.senders.refusals import TransientRefusal


class DirectorySender:
    """Writes each mail to <its Message-ID>.eml; the same mail sent twice is one file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def send(self, message: EmailMessage) -> None:
        """Write the file; it is there whole or not at all, and only its owner may read it."""
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        unfinished = self._directory / f".{name}.{os.getpid()}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            unfinished.touch(mode=0o600)
            unfinished.write_bytes(message.as_bytes(policy=email.policy.SMTPUTF8))
            unfinished.rename(self._directory / f"{name}.eml")
        except OSError as error:
            raise TransientRefusal(f"the mail could not be written: {error}") from error
