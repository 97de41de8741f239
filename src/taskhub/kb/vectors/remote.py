"""Models behind an OpenAI-compatible /v1/embeddings."""

import email.utils
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx

from taskhub.kb.vectors.failures import (
    EndpointBusy,
    EndpointFailed,
    EndpointRefused,
    TextsRefused,
)
from taskhub.settings import Settings

# Bad request, too large, cannot be processed: what endpoints say of a text that is too long for them.
_OF_THE_TEXTS = (400, 413, 422)


class Remote:
    """A model of an endpoint; its answers are put into the order of the texts by their index."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.batch = settings.embedding_batch
        self._dimensions = settings.embedding_dimensions
        self._width = settings.embedding_dimensions
        self._key = settings.embedding_api_key
        self._url = f"{(settings.embedding_url or '').rstrip('/')}/embeddings"
        self._client = httpx.Client(timeout=settings.embedding_timeout_seconds)
        self._used = threading.local()

    @property
    def width(self) -> int:
        """What `embedding_dimensions` says; else the endpoint is asked once."""
        if not self._width:
            self.embed(["width"])
        return self._width

    @property
    def tokens_used(self) -> int:
        """What the endpoint counted for this thread's calls since the last look."""
        used = int(getattr(self._used, "tokens", 0))
        self._used.tokens = 0
        return used

    def embed(self, texts: Sequence[str]) -> Sequence[Any]:
        """One vector per text, by as many requests of up to `embedding_batch` texts as it takes.

        Raises:
            EndpointBusy: it limits us.
            EndpointFailed: it may answer another time.
            TextsRefused: it will not take one of these texts.
            EndpointRefused: it will not take any.
        """
        return [
            vector
            for start in range(0, len(texts), self.batch)
            for vector in self._asked(list(texts[start : start + self.batch]))
        ]

    def _asked(self, texts: list[str]) -> list[Any]:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        asked: dict[str, Any] = {"model": self.name, "input": texts}
        if self._dimensions:
            asked["dimensions"] = self._dimensions
        try:
            answer = self._client.post(self._url, json=asked, headers=headers)
        except httpx.HTTPError as error:
            raise EndpointFailed(f"{self._url} gave no answer: {error!r}") from error
        if answer.status_code != httpx.codes.OK:
            raise _refusal(answer)
        try:
            vectors = self._read(answer.json(), len(texts))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EndpointRefused(
                f"{self._url} gave an answer that cannot be read: {error!r}"
            ) from error
        if not self._width:
            widths = Counter(len(v) for v in vectors if isinstance(v, list) and v)
            self._width = next((width for width, _ in widths.most_common(1)), 0)
        return vectors

    def _read(self, told: Any, number: int) -> list[Any]:
        used = int((told.get("usage") or {}).get("total_tokens") or 0)
        self._used.tokens = getattr(self._used, "tokens", 0) + used
        rows = told["data"]
        if len(rows) != number:
            # Which one is missing cannot be told: the caller asks for each alone.
            return [row["embedding"] for row in rows]
        placed = {int(row.get("index", n)): row["embedding"] for n, row in enumerate(rows)}
        return [placed[n] for n in range(number)]


def _refusal(answer: httpx.Response) -> Exception:
    what = f"{answer.url} answered {answer.status_code}: {answer.text[:200]}"
    wait = _seconds(answer.headers.get("retry-after"))
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or (
        answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and wait is not None
    ):
        return EndpointBusy(what, wait)
    if answer.status_code >= 500 or answer.status_code == httpx.codes.REQUEST_TIMEOUT:
        return EndpointFailed(what)
    if answer.status_code in _OF_THE_TEXTS:
        return TextsRefused(what)
    return EndpointRefused(what)


def _seconds(header: str | None) -> float | None:
    """Retry-After: seconds, or a date."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


_known: dict[tuple[object, ...], Remote] = {}
_making = threading.Lock()


def endpoint(name: str, settings: Settings) -> Remote:
    """The model of this name at the settings' endpoint, with one pool of connections a process."""
    key = (
        name, settings.embedding_url, settings.embedding_api_key, settings.embedding_dimensions,
        settings.embedding_batch, settings.embedding_timeout_seconds,
    )  # fmt: skip
    with _making:
        if key not in _known:
            _known[key] = Remote(name, settings)
        return _known[key]
