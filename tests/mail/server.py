"""A real mail server for tests: takes mails, or answers what it was told to."""

import asyncio
import email
import email.policy
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from aiosmtpd.smtp import Session as Dialogue

from taskhub.settings import Settings

CERTIFICATE = Path(__file__).with_name("server.pem")


class Server:
    """`mails` holds what was taken; `answers["RCPT"] = "451 later"` refuses at that step.

    `refuses["mei@example.com"] = "550 who?"` refuses one recipient.

    An answer of "hang up" closes the connection without one, "silence" never answers.
    """

    def __init__(
        self,
        *,
        security: str = "plain",
        login: tuple[str, str] | None = None,
        port: int = 0,
        **answers: str,
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.answers = answers
        self.refuses: dict[str, str] = {}
        self.connections = 0
        self._is_stopped = False
        self._peers: set[object] = set()
        self._security = security
        self._login = login
        self._controller = _Controller(self, port, **self._options())

    def settings(self, **changes: Any) -> Settings:
        """The settings with which a sender reaches this server."""
        name, password = self._login or (None, None)
        values: dict[str, Any] = {
            "smtp_host": "127.0.0.1",
            "smtp_port": self._controller.port,
            "smtp_security": self._security,
            "smtp_username": name,
            "smtp_password": password,
            "smtp_ca_file": CERTIFICATE,
            "smtp_timeout_seconds": 10.0,
            "mail_from": "kb@example.com",
        }
        return Settings(**values | changes)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        """Hang up; harmless when it was done before."""
        if not self._is_stopped:
            self._is_stopped = True
            self._controller.stop()

    async def handle_EHLO(  # noqa: N802 - as below
        self, server: SMTP, dialogue: Dialogue, _e: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        # STARTTLS has a client say it twice on one connection.
        if dialogue.peer not in self._peers:
            self._peers.add(dialogue.peer)
            self.connections += 1
        await self._told(server, self.answers.get("EHLO"))
        dialogue.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks for this name
        self, server: SMTP, _d: Dialogue, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        told = self.refuses.get(address) or self.answers.get("RCPT")
        if answer := await self._told(server, told):
            return answer
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - as above
        self, server: SMTP, _d: Dialogue, envelope: Envelope
    ) -> str:
        if answer := await self._told(server, self.answers.get("DATA")):
            return answer
        assert isinstance(envelope.original_content, bytes)
        self.envelopes.append(envelope)
        self.mails.append(
            email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        )
        return "250 taken"

    async def _told(self, server: SMTP, answer: str | None) -> str | None:
        if answer == "silence":
            await asyncio.Event().wait()
        if answer == "hang up":
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
            await asyncio.Event().wait()
        return answer

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"auth_required": self._login is not None, "timeout": 30}
        if self._security != "plain":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            options["ssl_context" if self._security == "tls" else "tls_context"] = context
        if self._security == "starttls":
            options["require_starttls"] = True
        else:
            options["auth_require_tls"] = False  # it does not see that TLS was there from the start
        if self._login is not None:
            options["authenticator"] = self._authenticate
        return options

    def _authenticate(
        self, _server: SMTP, _d: Dialogue, _e: Envelope, _mechanism: str, login: Any
    ) -> AuthResult:
        assert isinstance(login, LoginPassword)
        given = (login.login.decode(), login.password.decode())
        return AuthResult(success=given == self._login, handled=False)


class _Controller(Controller):
    def __init__(self, handler: Server, port: int, **options: Any) -> None:
        super().__init__(handler, hostname="127.0.0.1", port=port, **options)

    def _trigger_server(self) -> None:
        # Port 0 let the system choose a free one; from here on it has a number.
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd types some of it
