"""Notices to a webhook: JSON, signed by HMAC-SHA256 over the time and the body.

The address is the operator's, from the settings, and never data of a user; redirects are not followed, so
a receiver cannot send us elsewhere. An address of the own network is allowed: receivers often stand there.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING

from taskhub.settings import Settings
from taskhub.system.sinks.refusals import Refused

if TYPE_CHECKING:
    from taskhub.system.sinks import Message

LONGEST_RETRY_AFTER = 3600.0


def send(settings: Settings, message: Message) -> None:
    """POST a notice and take any answer of 2xx as its receipt.

    Raises:
        Refused: final for answers of 3xx and 4xx, but for 408, 425 and 429.
    """
    import httpx

    secret = settings.notice_webhook_secret or ""
    body, headers = signed(message, secret, at=int(time.time()))
    try:
        # The body of the answer is never read: it may be endless.
        with httpx.stream(
            "POST",
            settings.notice_webhook_url or "",
            content=body,
            headers=headers,
            timeout=settings.notice_timeout_seconds,
            follow_redirects=False,
        ) as answer:
            status, wish = answer.status_code, answer.headers.get("Retry-After", "")
    except httpx.InvalidURL as error:
        raise Refused(f"notice_webhook_url is no address: {error}", is_final=True) from error
    except httpx.HTTPError as error:
        raise Refused(f"the webhook was not reached: {type(error).__name__}") from error
    if 200 <= status < 300:
        return
    raise Refused(
        f"the webhook answered {status}",
        is_final=300 <= status < 500 and status not in (408, 425, 429),
        retry_after_seconds=min(float(wish), LONGEST_RETRY_AFTER) if wish.isdecimal() else None,
    )


def signed(message: Message, secret: str, *, at: int) -> tuple[bytes, dict[str, str]]:
    """The body and its headers; `at` is in seconds since 1970.

    A receiver computes HMAC-SHA256 of "<Taskhub-Timestamp>.<body>" and refuses old times. Taskhub-Delivery
    is the same at every attempt.
    """
    told = {
        "id": message.key,
        "kind": message.kind,
        "subject": message.subject,
        "lines": message.lines,
        "created_at": message.created_at.isoformat(),
    }
    body = json.dumps(told, ensure_ascii=False).encode()
    mark = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return body, {
        "Content-Type": "application/json",
        "User-Agent": "taskhub",
        "Taskhub-Delivery": message.key,
        "Taskhub-Timestamp": str(at),
        "Taskhub-Signature": f"sha256={mark}",
    }
