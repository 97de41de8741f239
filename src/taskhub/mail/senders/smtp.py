"""Mails through an SMTP server: plain, STARTTLS or TLS, with or without a login."""

import asyncio
import contextlib
import ssl
from email.message import EmailMessage

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from taskhub.mail.senders.refusals import PermanentRefusal, TransientRefusal
from taskhub.settings import Settings


class SmtpSender:
    """One connection a mail; no wait for the server is longer than `smtp_timeout_seconds`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def send(self, message: EmailMessage) -> None:
        """Hand the message to the server; call it from a thread that runs no event loop."""
        asyncio.run(self._send(message))

    async def _send(self, message: EmailMessage) -> None:
        client = self._client()
        try:
            await client.connect()
        except (SMTPException, OSError) as error:
            await _let_go(None)
            raise _refusal(error, doubtful=False) from error
        transport = client.transport
        try:
            await client.send_message(message)
            with contextlib.suppress(SMTPException, OSError):
                await client.quit()  # the mail is taken, however the two of us part
        except (SMTPException, OSError) as error:
            # No answer to what was said here does not mean that the mail was not taken.
            raise _refusal(error, doubtful=True) from error
        finally:
            client.close()
            await _let_go(transport)

    def _client(self) -> SMTP:
        settings = self._settings
        return SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username,
            password=settings.smtp_password,
            timeout=settings.smtp_timeout_seconds,
            use_tls=settings.smtp_security == "tls",
            start_tls=settings.smtp_security == "starttls",
            tls_context=self._tls_context(),
        )

    def _tls_context(self) -> ssl.SSLContext | None:
        if self._settings.smtp_security == "plain":
            return None
        return ssl.create_default_context(cafile=self._settings.smtp_ca_file)


async def _let_go(transport: asyncio.BaseTransport | None) -> None:
    """Close the socket before the loop ends; close() alone only plans that."""
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()  # close() would wait for the server to end TLS politely
    for _ in range(3):  # the transport of TLS, the socket's below it, and one to spare
        await asyncio.sleep(0)


def _refusal(error: Exception, *, doubtful: bool) -> PermanentRefusal | TransientRefusal:
    if isinstance(error, SMTPRecipientsRefused):
        error = error.recipients[0]  # every mail has one
    if isinstance(error, SMTPResponseException):
        answer = f"the server answered {error.code} {_one_line(error.message)}"
        return PermanentRefusal(answer) if error.code >= 500 else TransientRefusal(answer)
    # aiosmtplib 5.1 raises the bare class where a server offers no STARTTLS or no login.
    if isinstance(error, SMTPNotSupported) or type(error) is SMTPException:
        return PermanentRefusal(f"the server cannot do what the mail needs: {error}")
    return TransientRefusal(f"the server was lost: {_one_line(str(error))}", doubtful=doubtful)


def _one_line(answer: str) -> str:
    return " ".join(answer.split())
