"""What is handed to a browser and believed when it comes back: signed, with the time it was signed."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer


class Seals:
    """Signs cookies and the tokens of forms with one key, each kind in a way of its own."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, kind: str, value: Any) -> str:
        """`value`, which must be JSON, as text for a cookie; readable, but nobody else can make it."""
        return str(self._serializer(kind).dumps(value))

    def open(self, kind: str, text: str | None, *, max_seconds: float) -> Any | None:
        """What `seal` was given, or None where it is older, of another kind or not ours."""
        if not text:
            return None
        try:
            return self._serializer(kind).loads(text, max_age=int(max_seconds))
        except BadData:
            return None

    def token(self, nonce: str) -> str:
        """What the forms of the visitor with this nonce must carry."""
        return hmac.new(self._key, f"token:{nonce}".encode(), hashlib.sha256).hexdigest()

    def is_token(self, nonce: str, given: str) -> bool:
        """Whether a form carries the token of this visitor."""
        return hmac.compare_digest(self.token(nonce).encode(), given.encode())

    def _serializer(self, kind: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            self._key, salt=f"taskhub.{kind}", signer_kwargs={"digest_method": hashlib.sha256}
        )
