"""Mails as .eml files in a folder, for development: every mail program opens them."""

import email.policy
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

from taskhub.mail.senders.refusals import Answer, Unreachable


class DirectorySender:
    """Writes each mail to <its Message-ID>.eml; the same mail sent twice is one file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def line(self) -> Iterator["DirectorySender"]:
        """Itself: a folder needs no connection."""
        yield self

    def send(self, messages: Sequence[EmailMessage]) -> list[Answer]:
        """Write the files; each is there whole or not at all, and only its owner may read it."""
        return [self._write(message) for message in messages]

    def _write(self, message: EmailMessage) -> Answer:
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        unfinished = self._directory / f".{name}.{os.getpid()}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            unfinished.touch(mode=0o600)
            unfinished.write_bytes(message.as_bytes(policy=email.policy.SMTPUTF8))
            unfinished.rename(self._directory / f"{name}.eml")
        except OSError as error:
            return Unreachable(f"the mail could not be written: {error}")
        return None
