"""What a worker and its child processes say to each other: JSON behind a length, over a socket."""

from __future__ import annotations

import json
import struct
from typing import Any

from taskhub.queue.acks import Claimed

HEAD = struct.Struct("!cI")

READY, BROKEN = b"I", b"B"  # the child can take jobs; it cannot, and says why
RESULT, FAILED, SNOOZED, LOGGED = b"R", b"E", b"S", b"L"
PROGRESS = b"P"  # done, of, note
JOB = b"J"
# json.dumps makes an encoder at every call that asks for other separators.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def pack(kind: bytes, body: bytes) -> bytes:
    """One frame; a body of 4 GiB and more is a struct.error."""
    return HEAD.pack(kind, len(body)) + body


def as_json(value: Any) -> bytes:
    """`value` as the body of a frame."""
    return _encode(value).encode()


def claimed_as_list(job: Claimed) -> list[Any]:
    """A claimed job as JSON can hold it."""
    at = job.scheduled_at.isoformat() if job.scheduled_at is not None else None
    return list(job._replace(scheduled_at=at))  # type: ignore[arg-type]  # text, on its way
