"""The SMTP server that the demo starts: it keeps what arrives, and refuses when told to."""

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller


class Postbox:
    """The mails that arrived; aiosmtpd calls the handlers from its own thread."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuses = False
        self.port = 0

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or answer for good that there is none."""
        if self.refuses:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        """Keep a mail."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        if isinstance(message, EmailMessage):
            self.mails.append(message)
        return "250 OK"

    def sent_to(self, address: str) -> list[EmailMessage]:
        """The mails to one address, in the order they arrived."""
        return [mail for mail in self.mails if address in str(mail["To"])]


class _AnyPort(Controller):
    """A Controller that takes a free port and knows which; aiosmtpd's own looks for port 0."""

    def _trigger_server(self) -> None:
        listening: Any = self.server
        self.port = listening.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd has no types


@contextmanager
def open_postbox() -> Iterator[Postbox]:
    """A server on a free port of 127.0.0.1, for as long as the block lasts."""
    box = Postbox()
    controller = _AnyPort(box, hostname="127.0.0.1", port=0)
    controller.start()
    box.port = controller.port
    try:
        yield box
    finally:
        controller.stop()
