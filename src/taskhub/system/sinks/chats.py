"""Notices to the services that apprise knows: chats, pagers, phones."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from taskhub.system.sinks.refusals import Refused

if TYPE_CHECKING:
    from taskhub.system.sinks import Message

MAX_REASON = 300


def send(url: str, message: Message) -> None:
    """Hand a notice to the service that an apprise url names.

    Raises:
        Refused: the url names none, which is final, or the service did not take it.
    """
    import apprise

    # Its plugins tell why in the log alone, with the url's secrets starred out.
    capture = apprise.LogCapture(level=logging.WARNING, fmt="%(message)s")  # type: ignore[no-untyped-call]  # it has no types
    with capture as said:
        post = apprise.Apprise()
        if not post.add(url):
            raise Refused(
                "notice_apprise_urls holds an address that apprise does not know", is_final=True
            )
        taken = post.notify(
            title=message.subject,
            body="\n".join(message.lines),
            notify_type=apprise.NotifyType.WARNING,
        )
        reason = " ".join(said.getvalue().split())[:MAX_REASON]
    if not taken:
        raise Refused(f"the service did not take it: {reason or 'it does not say why'}")
