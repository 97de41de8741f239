"""Mails: how they look and by whom they are sent."""

import re
from dataclasses import dataclass
from pathlib import Path

from taskhub.settings.kinds import BadSetting, choice, number

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, kw_only=True)
class MailSettings:
    """Mails: how they look and by whom they are sent."""

    smtp_host: str = "127.0.0.1"
    smtp_port: int = number(25, at_least=1)
    smtp_security: str = choice("plain", ("plain", "starttls", "tls"))
    smtp_username: str | None = None
    smtp_password: str | None = None
    smtp_timeout_seconds: float = number(30.0, above=0)
    # A connection that nobody used for so long is closed, not used again.
    smtp_idle_seconds: float = number(20.0, above=0)
    smtp_ca_file: Path | None = None
    mail_sender: str = "smtp"
    mail_directory: Path | None = None
    mail_from: str = "taskhub@localhost.localdomain"
    mail_brand: str = "taskhub"
    mail_brand_color: str = "#1f5fbf"
    mail_logo_url: str | None = None
    mail_footer: str | None = None
    mail_link_base: str = "http://localhost:8000"
    # Of each kind that a stranger can ask for, to one address.
    mails_an_hour: int = number(5, at_least=1)
    mail_outbox_days: int = number(90, at_least=1)
    code_minutes: int = number(30, at_least=1)


def check_brand(settings: MailSettings) -> None:
    """Refuse a colour that could be more than a colour, and a logo that no mail program loads.

    Raises:
        BadSetting: it names the setting.
    """
    if not _COLOR.fullmatch(settings.mail_brand_color):
        raise BadSetting(f"mail_brand_color must be #rrggbb, got {settings.mail_brand_color!r}")
    logo = settings.mail_logo_url
    if logo is not None and not logo.startswith(("https://", "http://")):
        raise BadSetting(f"mail_logo_url must begin with https://, got {logo!r}")
