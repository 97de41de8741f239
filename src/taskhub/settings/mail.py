"""Mails: how they look and by whom they are sent."""

from dataclasses import dataclass
from pathlib import Path

from taskhub.settings.kinds import choice, number


@dataclass(frozen=True, kw_only=True)
class MailSettings:
    """Mails: how they look and by whom they are sent."""

    smtp_host: str = "127.0.0.1"
    smtp_port: int = number(25, at_least=1)
    smtp_security: str = choice("plain", ("plain", "starttls", "tls"))
    smtp_username: str | None = None
    smtp_password: str | None = None
    smtp_timeout_seconds: float = number(30.0, above=0)
    smtp_ca_file: Path | None = None
    mail_sender: str = "smtp"
    mail_directory: Path | None = None
    mail_from: str = "taskhub@localhost.localdomain"
    mail_brand: str = "taskhub"
    mail_link_base: str = "http://localhost:8000"
    code_minutes: int = number(30, at_least=1)
