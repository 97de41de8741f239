"""Where notices go: mail, a signed webhook, and the services that apprise knows; one file a way.

A sink is called by a short name, which stands in job arguments: addresses with tokens stay in the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from taskhub.settings import Settings
from taskhub.system.sinks.refusals import Refused, UnknownSink


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A notice on its way.

    Attributes:
        key: the same at every attempt, for whoever wants to take it once.
    """

    key: str
    kind: str
    subject: str
    lines: tuple[str, ...]
    created_at: datetime


def names(settings: Settings) -> list[str]:
    """The sinks that the settings name: "mail:ops@example.com", "webhook", "apprise:1"."""
    mails = [f"mail:{address}" for address in dict.fromkeys(settings.notice_mail_to)]
    hooks = ["webhook"] if settings.notice_webhook_url else []
    return mails + hooks + [f"apprise:{n + 1}" for n in range(len(settings.notice_apprise_urls))]


def send(settings: Settings, sink: str, message: Message) -> None:
    """Hand a message to a sink and wait for its answer; blocks, so never on an event loop.

    Raises:
        UnknownSink: the settings name none of this name any more.
        Refused: it was not taken; `is_final` where another try would not help.
    """
    if sink not in names(settings):
        known = ", ".join(names(settings)) or "none: set notice_mail_to, notice_webhook_url or "
        known += "" if names(settings) else "notice_apprise_urls"
        raise UnknownSink(f"no sink is named {sink!r}; known are {known}")
    kind, _, rest = sink.partition(":")
    try:
        if kind == "mail":
            from taskhub.system.sinks import letter

            letter.send(settings, rest, message)
        elif kind == "webhook":
            from taskhub.system.sinks import webhook

            webhook.send(settings, message)
        else:
            from taskhub.system.sinks import chats

            chats.send(settings.notice_apprise_urls[int(rest) - 1], message)
    except ModuleNotFoundError as error:
        extra = "mail" if kind == "mail" else "notify"
        raise Refused(
            f"{error.name} is not installed; run `pip install 'taskhub[{extra}]'`", is_final=True
        ) from error
