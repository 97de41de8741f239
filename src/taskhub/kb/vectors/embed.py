"""Vectors for texts: each distinct text is embedded once, ever, for one model."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from sqlalchemy import select
from sqlalchemy.orm import Session

from taskhub.db import KB_SCHEMA
from taskhub.kb.vectors.binary import RealArray, Vector, adapt
from taskhub.kb.vectors.embedders import Embedder
from taskhub.kb.vectors.failures import TextsRefused
from taskhub.kb.vectors.models import Embedding


@dataclass(frozen=True, slots=True)
class NoVector:
    """Why a text has no vector."""

    reason: str


# Rows of one statement; a vector has some kilobytes.
KEEP_ROWS = 64

Made = Vector | NoVector


def embed(session: Session, texts: Sequence[str], model: Embedder) -> list[Made]:
    """One vector of `model.width` numbers, or the reason why not, per text in the texts' order.

    Reads and fills the cache in the caller's transaction; calls the model once, with the distinct
    texts that the cache lacks. What is wrong with one text's vector is that text's alone.
    """
    keys = [key_of(text) for text in texts]
    known: dict[str, Made] = {**cached(session, keys, model)}
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    made = make(missing, model)
    keep(session, made, model)
    known.update(made)
    return [known[key] for key in keys]


def key_of(text: str) -> str:
    """What the cache knows a text by: its sha256."""
    return hashlib.sha256(text.encode()).hexdigest()


def cached(session: Session, keys: Sequence[str], model: Embedder) -> dict[str, Vector]:
    """What the cache has of these keys, in the caller's transaction."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    query = f"SELECT sha256, vector FROM {_schema(session)}.embeddings WHERE model = %s AND sha256 = ANY(%s)"  # noqa: S608 - the schema's name was checked by Settings
    with _driver(session).cursor(binary=True) as cursor:
        cursor.execute(query, [model.name, wanted])
        return dict(cursor.fetchall())


def make(missing: Mapping[str, str], model: Embedder) -> dict[str, Made]:
    """Vectors of the texts, by their keys; calls the model, outside of any transaction if you can."""
    if not missing:
        return {}
    return dict(zip(missing, _made(list(missing.values()), model), strict=True))


def keep(session: Session, made: Mapping[str, Made], model: Embedder) -> None:
    """Fill the cache, in the caller's transaction."""
    rows = [
        (model.name, key, RealArray(vector))
        # In one order for all, so that two transactions with the same texts cannot deadlock.
        for key, vector in sorted(made.items(), key=lambda item: item[0])
        if not isinstance(vector, NoVector)
    ]
    if not rows:
        return
    head = f"INSERT INTO {_schema(session)}.embeddings (model, sha256, vector) VALUES"
    with _driver(session).cursor() as cursor:
        # A statement for each row would take longer than the index on the vectors does.
        for some in (rows[n : n + KEEP_ROWS] for n in range(0, len(rows), KEEP_ROWS)):
            values = ", ".join(["(%s, %s, %b)"] * len(some))
            query = f"{head} {values} ON CONFLICT DO NOTHING"
            cursor.execute(query, [value for row in some for value in row])


def is_cached(session: Session, key: str, model: Embedder) -> bool:
    """Whether the cache has the vector of this key."""
    query = select(Embedding.sha256).where(Embedding.model == model.name, Embedding.sha256 == key)
    return session.scalar(query) is not None


def _made(texts: list[str], model: Embedder) -> list[Made]:
    try:
        vectors = model.embed(texts)
    except TextsRefused as refusal:
        if len(texts) == 1:
            return [NoVector(f"{model.name} refused the text: {refusal}")]
        vectors = []
    if len(vectors) != len(texts):
        # Which one is missing cannot be told from the answer, so each text is asked for alone.
        if len(texts) == 1:
            return [NoVector(f"{model.name} gave {len(vectors)} vectors for one text")]
        return [result for text in texts for result in _made([text], model)]
    return [_checked(vector, model) for vector in vectors]


def _checked(given: Any, model: Embedder) -> Made:
    try:
        vector = numpy.asarray(given, dtype=numpy.float32)
    except (TypeError, ValueError):
        return NoVector(f"{model.name} gave a vector that is no list of numbers")
    if vector.shape != (model.width,):
        return NoVector(f"{model.name} gave a vector of width {vector.size}, not {model.width}")
    if not numpy.isfinite(vector).all():
        return NoVector(f"{model.name} gave a vector with NaN or infinity in it")
    if not vector.any():
        return NoVector(f"{model.name} gave a vector of zeros, which has no direction")
    return vector


def _schema(session: Session) -> str:
    translated = session.connection().get_execution_options().get("schema_translate_map") or {}
    return str(translated.get(KB_SCHEMA, KB_SCHEMA))


def _driver(session: Session) -> Any:
    driver = session.connection().connection.driver_connection
    assert driver is not None  # noqa: S101 - a pool's connection has one
    adapt(driver)
    return driver
