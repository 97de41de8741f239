"""Mails through an SMTP server: plain, STARTTLS or TLS, with or without a login.

A connection is kept between two batches and used by the next one, for `smtp_idle_seconds` at most:
then the server may have hung up, and a mail to a dead connection is a mail in doubt.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage

from aiosmtplib import SMTP, SMTPException, SMTPRecipientsRefused, SMTPResponseException

from taskhub.mail.senders.refusals import (
    Answer,
    PermanentRefusal,
    TransientRefusal,
    Unreachable,
)
from taskhub.settings import Settings

CLOSING = 421  # the server hangs up after this
# One mail may cost a connection by itself; a server that goes silent at each would hold a batch for an hour.
MOST_CUT_OFF = 2


class SmtpSender:
    """Lines to one server; no wait for it is longer than `smtp_timeout_seconds`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @contextmanager
    def line(self) -> Iterator[SmtpLine]:
        """A line that waits for use, or a new one."""
        line = _IDLE.take(self._settings) or SmtpLine(self._settings)
        try:
            yield line
        except BaseException:
            line.close()
            raise
        _IDLE.keep(line)


class SmtpLine:
    """One connection, and the event loop that it lives on; the loop runs only while mails are sent."""

    def __init__(self, settings: Settings) -> None:
        self.key = _key(settings)
        self.used_at = time.monotonic()
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._client: SMTP | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that nobody has hung up, as far as we know."""
        return self._client is not None and self._client.is_connected

    def send(self, messages: Sequence[EmailMessage]) -> list[Answer]:
        """See messages off, one after the other; call it from a thread that runs no event loop."""
        answers = self._loop.run_until_complete(self._send_all(messages))
        self.used_at = time.monotonic()
        return answers

    async def _send_all(self, messages: Sequence[EmailMessage]) -> list[Answer]:
        answers: list[Answer] = []
        lost: Unreachable | None = None
        cut_off = 0
        for message in messages:
            answer = lost or await self._send(message)
            answers.append(answer)
            is_cut = isinstance(answer, TransientRefusal) and answer.doubtful
            cut_off = cut_off + 1 if is_cut else 0
            if isinstance(answer, Unreachable):
                lost = answer  # whoever does not answer now need not be asked for each mail
            elif cut_off >= MOST_CUT_OFF:
                lost = Unreachable(f"{cut_off} mails one after the other lost the server")
        return answers

    async def _send(self, message: EmailMessage) -> Answer:
        try:
            client = await self._connected()
        except (SMTPException, OSError) as error:
            await self._hang_up()
            # Whatever it is, a wrong password for one, it is nothing about this mail.
            return Unreachable(f"the server cannot be used: {_told(error)}")
        try:
            await client.send_message(message)
        except SMTPRecipientsRefused as error:
            return await self._answered(error.recipients[0])  # every mail has one
        except SMTPResponseException as error:
            return await self._answered(error)
        except (SMTPException, OSError) as error:
            if not (isinstance(error, OSError) or self._was_cut(error)):
                return PermanentRefusal(f"the server cannot do what the mail needs: {error}")
            await self._hang_up()
            # No answer to what was said here does not mean that the mail was not taken.
            return TransientRefusal(f"the server was lost: {_told(error)}", doubtful=True)
        return None

    def _was_cut(self, error: SMTPException) -> bool:
        # aiosmtplib 5.1 raises its bare class, or SMTPNotSupported, where a server lacks something;
        # the others of its own are lost connections and time-outs.
        from aiosmtplib import SMTPNotSupported

        return not isinstance(error, SMTPNotSupported) and type(error) is not SMTPException

    async def _answered(self, error: SMTPResponseException) -> Answer:
        told = f"the server answered {error.code} {_one_line(error.message)}"
        if error.code == CLOSING or not self.is_open:
            await self._hang_up()
        return PermanentRefusal(told) if error.code >= 500 else TransientRefusal(told)

    async def _connected(self) -> SMTP:
        if self._client is not None:
            if self._client.is_connected:
                return self._client
            await self._hang_up()
        self._client = client = _client(self._settings)
        await client.connect()
        # send_message would do it too, but what fails here must not make its mail doubtful.
        await client._ehlo_or_helo_if_needed()  # noqa: SLF001 - as above
        return client

    def close(self) -> None:
        """Say good-bye, if there is somebody to say it to, and let go of the loop."""
        if self.key[0] != os.getpid():
            return  # it is the parent's, who still uses it
        self._loop.run_until_complete(self._leave())
        self._loop.close()

    async def _leave(self) -> None:
        transport = None
        if self._client is not None and self._client.is_connected:
            transport = self._client.transport  # it forgets it when it has said good-bye
            with contextlib.suppress(SMTPException, OSError):
                await self._client.quit(timeout=min(2.0, self._settings.smtp_timeout_seconds))
        await self._hang_up(transport)

    async def _hang_up(self, transport: asyncio.BaseTransport | None = None) -> None:
        """Close the socket now; the client's close() alone only plans that."""
        client, self._client = self._client, None
        if client is None:
            return
        transport = transport or client.transport
        client.close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()  # close() would wait for the server to end TLS politely
        for _ in range(3):  # the transport of TLS, the socket's below it, and one to spare
            await asyncio.sleep(0)


class _Idle:
    """The open lines of this process that nobody uses."""

    def __init__(self) -> None:
        self._lines: list[SmtpLine] = []
        self._mutex = threading.Lock()

    def take(self, settings: Settings) -> SmtpLine | None:
        """A line to this server that was used lately; the others that were not are closed."""
        oldest = time.monotonic() - settings.smtp_idle_seconds
        wanted = _key(settings)
        with self._mutex:
            old = [line for line in self._lines if line.used_at < oldest and line.key == wanted]
            fresh = [line for line in self._lines if line not in old]
            found = next((line for line in fresh if line.key == wanted), None)
            self._lines = [line for line in fresh if line is not found]
        for line in old:
            line.close()
        return found

    def keep(self, line: SmtpLine) -> None:
        """Let the next batch have it."""
        if not line.is_open:
            line.close()
            return
        with self._mutex:
            self._lines.append(line)

    def close(self) -> None:
        """End all of them."""
        with self._mutex:
            lines, self._lines = self._lines, []
        for line in lines:
            line.close()


_IDLE = _Idle()
atexit.register(_IDLE.close)


def close_idle() -> None:
    """End the connections that are kept for later; at the end of the process that happens by itself."""
    _IDLE.close()


def _key(settings: Settings) -> tuple[object, ...]:
    # The process too: a connection does not survive a fork.
    return (
        os.getpid(), settings.smtp_host, settings.smtp_port, settings.smtp_security,
        settings.smtp_username, settings.smtp_password, settings.smtp_ca_file,
    )  # fmt: skip


def _client(settings: Settings) -> SMTP:
    return SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_username,
        password=settings.smtp_password,
        timeout=settings.smtp_timeout_seconds,
        use_tls=settings.smtp_security == "tls",
        start_tls=settings.smtp_security == "starttls",
        tls_context=_tls_context(settings),
    )


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    if settings.smtp_security == "plain":
        return None
    return ssl.create_default_context(cafile=settings.smtp_ca_file)


def _told(error: Exception) -> str:
    if isinstance(error, SMTPResponseException):
        return f"it answered {error.code} {_one_line(error.message)}"
    return _one_line(str(error)) or type(error).__name__


def _one_line(answer: str) -> str:
    return " ".join(answer.split())
