"""Models behind an OpenAI-compatible /v1/embeddings."""

import email.utils
import threading
import time
from collections.abc import Sequence
from typing import Any

import httpx

from taskhub.settings import Settings


class EndpointBusy(RuntimeError):
    """The endpoint said 429, or 503 with a time: nothing is wrong with the texts.

    Attributes:
        retry_after: seconds that it asked for; None where it named none.
    """

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EndpointFailed(RuntimeError):
    """The endpoint could not answer now: a 5xx, no connection, no answer in time."""


class EndpointRefused(RuntimeError):
    """The endpoint will never take this: a 4xx, or an answer that is none."""


class Remote:
    """A model of an endpoint; its answers are put into the order of the texts by their index."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.width = settings.embedding_dimensions
        self.batch = settings.embedding_batch
        self._key = settings.embedding_api_key
        self._url = f"{(settings.embedding_url or '').rstrip('/')}/embeddings"
        self._client = httpx.Client(timeout=settings.embedding_timeout_seconds)
        self._used = threading.local()

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
            EndpointRefused: it will not.
        """
        return [
            vector
            for start in range(0, len(texts), self.batch)
            for vector in self._asked(list(texts[start : start + self.batch]))
        ]

    def _asked(self, texts: list[str]) -> list[Any]:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            answer = self._client.post(
                self._url, json={"model": self.name, "input": texts}, headers=headers
            )
        except httpx.HTTPError as error:
            raise EndpointFailed(f"{self._url} gave no answer: {error!r}") from error
        if answer.status_code != httpx.codes.OK:
            raise _refusal(answer)
        try:
            told = answer.json()
            self._used.tokens = getattr(self._used, "tokens", 0) + int(
                (told.get("usage") or {}).get("total_tokens") or 0
            )
            rows = told["data"]
            if len(rows) != len(texts):
                # Which one is missing cannot be told: the caller asks for each alone.
                return [row["embedding"] for row in rows]
            placed = {
                int(row.get("index", place)): row["embedding"] for place, row in enumerate(rows)
            }
            return [placed[place] for place in range(len(texts))]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EndpointRefused(
                f"{self._url} gave an answer that cannot be read: {error!r}"
            ) from error


def _refusal(answer: httpx.Response) -> Exception:
    what = f"{answer.url} answered {answer.status_code}: {answer.text[:200]}"
    wait = _seconds(answer.headers.get("retry-after"))
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or (
        answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and wait is not None
    ):
        return EndpointBusy(what, wait)
    if answer.status_code >= 500 or answer.status_code == httpx.codes.REQUEST_TIMEOUT:
        return EndpointFailed(what)
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
