"""Vectors for texts: each distinct text is embedded once, ever, for one model."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.kb.vectors.embedders import Embedder
from taskhub.kb.vectors.models import Embedding


@dataclass(frozen=True, slots=True)
class NoVector:
    """Why a text has no vector."""

    reason: str


def embed(
    session: Session, texts: Sequence[str], model: Embedder, *, keep: bool = True
) -> list[list[float] | NoVector]:
    """One vector of `model.width` numbers, or the reason why not, per text in the texts' order.

    Reads and, with `keep`, fills the cache in the caller's transaction; calls the model once, with
    the distinct texts that the cache lacks. What is wrong with one text's vector is that text's
    alone.
    """
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    known: dict[str, list[float] | NoVector] = {}
    stored = select(Embedding.sha256, Embedding.vector).where(
        Embedding.model == model.name, Embedding.sha256.in_(set(keys))
    )
    known.update((key, vector) for key, vector in session.execute(stored))
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if missing:
        made = dict(zip(missing, _made(list(missing.values()), model), strict=True))
        if keep:
            _keep(session, model, made)
        known.update(made)
    return [known[key] for key in keys]


def _made(texts: list[str], model: Embedder) -> list[list[float] | NoVector]:
    vectors = model.embed(texts)
    if len(vectors) != len(texts):
        # Which one is missing cannot be told from the answer, so each text is asked for alone.
        if len(texts) == 1:
            return [NoVector(f"{model.name} gave {len(vectors)} vectors for one text")]
        return [result for text in texts for result in _made([text], model)]
    return [_checked(vector, model) for vector in vectors]


def _checked(vector: list[float], model: Embedder) -> list[float] | NoVector:
    if len(vector) != model.width:
        return NoVector(f"{model.name} gave a vector of width {len(vector)}, not {model.width}")
    if not all(map(math.isfinite, vector)):
        return NoVector(f"{model.name} gave a vector with NaN or infinity in it")
    if not any(vector):
        return NoVector(f"{model.name} gave a vector of zeros, which has no direction")
    return vector


def _keep(session: Session, model: Embedder, made: dict[str, list[float] | NoVector]) -> None:
    rows = [
        {"model": model.name, "sha256": key, "vector": vector}
        # In one order for all, so that two transactions with the same texts cannot deadlock.
        for key, vector in sorted(made.items(), key=lambda item: item[0])
        if not isinstance(vector, NoVector)
    ]
    if rows:
        session.execute(insert(Embedding).values(rows).on_conflict_do_nothing())
