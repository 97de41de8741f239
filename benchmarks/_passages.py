"""A knowledge base of made-up passages: text that is distributed like text, vectors with topics."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy
import psycopg
from _report import progress
from numpy.typing import NDArray
from pgvector.psycopg import register_vector

from taskhub.kb.segments.words import CONFIGURATION

MODEL = "hash"
WIDTH = 512
VOCABULARY = 60_000
TOPICS = 500
TOPIC_WORDS = 120
PASSAGES_A_DOCUMENT = 20
WORDS = (80, 320)
# Of all passages: what a filter by dataset leaves.
SHARES = {"20 %": 0.2, "10 %": 0.1, "5 %": 0.05, "1 %": 0.01, "0.1 %": 0.001}

Vectors = NDArray[numpy.float32]


@dataclass(frozen=True, slots=True)
class Question:
    """Words of one passage, and a vector near its own."""

    text: str
    vector: Vectors


class World:
    """Documents, each on one topic: half of a passage's words are its topic's, half anybody's."""

    def __init__(self, passages: int, seed: int = 5) -> None:
        self.passages = passages
        self.random = numpy.random.default_rng(seed)
        self.words = numpy.array([_word(number) for number in range(VOCABULARY)])
        # Zipf's law: the word of rank r comes up 1 / r as often as the first.
        self.frequencies = 1 / numpy.arange(1, VOCABULARY + 1)
        self.frequencies /= self.frequencies.sum()
        self.topic_words = self.random.integers(200, VOCABULARY, (TOPICS, TOPIC_WORDS))
        self.topics = _unit(self.random.standard_normal((TOPICS, WIDTH), dtype=numpy.float32))
        documents = -(-passages // PASSAGES_A_DOCUMENT)
        self.topic_of = self.random.integers(0, TOPICS, documents)
        offsets = self.random.standard_normal((documents, WIDTH), dtype=numpy.float32)
        self.centres = _unit(self.topics[self.topic_of] + 0.7 * _unit(offsets))

    def documents(self) -> Iterator[tuple[int, list[str], Vectors]]:
        """Number, passages and vectors of each document."""
        left = self.passages
        for number in range(len(self.centres)):
            size = min(PASSAGES_A_DOCUMENT, left)
            left -= size
            noise = _unit(self.random.standard_normal((size, WIDTH), dtype=numpy.float32))
            vectors = _unit(self.centres[number] + 0.7 * noise)
            yield number, [self._text(number) for _ in range(size)], vectors

    def _text(self, document: int) -> str:
        size = int(self.random.integers(*WORDS))
        common = self.random.choice(VOCABULARY, size - size // 2, p=self.frequencies)
        topical = self.random.choice(self.topic_words[self.topic_of[document]], size // 2)
        picked = numpy.concatenate([common, topical])
        self.random.shuffle(picked)
        return " ".join(self.words[picked])


def questions(url: str, number: int, seed: int = 6) -> list[Question]:
    """As somebody asks who knows a passage: 3 to 12 of its words, common ones as well."""
    random = numpy.random.default_rng(seed)
    with psycopg.connect(url) as connection:
        register_vector(connection)
        rows = connection.execute(
            "SELECT s.text, v.vector FROM taskhub_kb.segments AS s "
            "JOIN taskhub_kb.vectors_512 AS v ON v.segment_id = s.id "
            "ORDER BY hashint8(s.id) LIMIT %s",
            (number,),
        ).fetchall()
    asked = []
    for text, vector in rows:
        words = text.split()
        picked = random.choice(len(words), min(int(random.integers(3, 13)), len(words)), False)
        noise = _unit(random.standard_normal((1, WIDTH), dtype=numpy.float32))[0]
        near = _unit((vector.to_numpy() + 0.6 * noise)[None, :])[0]
        asked.append(Question(" ".join(words[i] for i in picked), near))
    return asked


def fill(url: str, world: World) -> dict[str, int]:
    """Load the world; the ids of the datasets: the one of the rest, and one for each of SHARES."""
    with psycopg.connect(url) as connection:
        register_vector(connection)
        indexes = _dropped_indexes(connection)
        datasets = _datasets(connection)
        _copy(connection, world, datasets)
        connection.execute(
            "UPDATE taskhub_kb.documents AS d SET segments_total = c.n, segments_done = c.n "
            "FROM (SELECT document_id, count(*) AS n FROM taskhub_kb.segments GROUP BY 1) AS c "
            "WHERE c.document_id = d.id"
        )
        connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
        for definition in indexes:
            progress(definition[:70])
            connection.execute(definition)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
    return datasets


def _datasets(connection: psycopg.Connection[Any]) -> dict[str, int]:
    connection.execute("INSERT INTO taskhub_kb.tenants (id, name) VALUES (1, 'bench')")
    names = ("the rest", *SHARES)
    for number, name in enumerate(names, 1):
        connection.execute(
            "INSERT INTO taskhub_kb.datasets (id, tenant_id, name, embedding_model, technique, "
            "process_rule) VALUES (%s, 1, %s, %s, 'high_quality', '{}')",
            (number, name, MODEL),
        )
    return {name: number for number, name in enumerate(names, 1)}


def _copy(connection: psycopg.Connection[Any], world: World, datasets: dict[str, int]) -> None:
    segment_id = 0
    documents = world.documents()
    while group := list(islice(documents, 250)):
        texts, vectors = [], []
        for number, passages, made in group:
            dataset_id = _dataset(segment_id, world.passages, datasets)
            connection.execute(
                "INSERT INTO taskhub_kb.documents (id, dataset_id, tenant_id, name, state, "
                "completed_at, metadata) VALUES (%s, %s, 1, %s, 'completed', now(), "
                "jsonb_build_object('year', 2000 + %s::int %% 100))",
                (number + 1, dataset_id, f"document {number}", number),
            )
            for position, (text, vector) in enumerate(zip(passages, made, strict=True)):
                segment_id += 1
                texts.append((segment_id, number + 1, dataset_id, position, text))
                vectors.append((segment_id, 0, MODEL, dataset_id, vector))
        _copy_texts(connection, texts)
        with connection.cursor().copy(
            "COPY taskhub_kb.vectors_512 (segment_id, part, model, dataset_id, vector) "
            "FROM STDIN WITH (FORMAT BINARY)"
        ) as copy:
            copy.set_types(["int8", "int4", "text", "int8", "vector"])
            for row in vectors:
                copy.write_row(row)
        progress(f"{segment_id} of {world.passages} passages")


def _copy_texts(connection: psycopg.Connection[Any], rows: list[tuple[Any, ...]]) -> None:
    connection.execute(
        "CREATE TEMPORARY TABLE IF NOT EXISTS loaded (id bigint, document_id bigint, "
        "dataset_id bigint, position integer, text text) ON COMMIT DROP"
    )
    with connection.cursor().copy("COPY loaded FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    connection.execute(
        "INSERT INTO taskhub_kb.segments (id, document_id, dataset_id, position, text, tokens, "
        "sha256, keywords, words, state, completed_at) "
        "SELECT id, document_id, dataset_id, position, text, 200, md5(text), '{}', "
        "to_tsvector(%s::regconfig, text), 'completed', now() FROM loaded",
        (CONFIGURATION,),
    )
    connection.execute("TRUNCATE loaded")


def _dataset(segment_id: int, passages: int, datasets: dict[str, int]) -> int:
    # The small ones come first; a document belongs to one dataset.
    upper = 0.0
    for name, share in SHARES.items():
        upper += share * passages
        if segment_id < upper:
            return datasets[name]
    return datasets["the rest"]


def _dropped_indexes(connection: psycopg.Connection[Any]) -> list[str]:
    """What a bulk load makes afterwards, as it was defined."""
    rows = connection.execute(
        "SELECT c.oid::regclass::text, pg_get_indexdef(c.oid) FROM pg_class AS c "
        "JOIN pg_index AS i ON i.indexrelid = c.oid JOIN pg_class AS t ON t.oid = i.indrelid "
        "WHERE t.relnamespace = 'taskhub_kb'::regnamespace "
        "AND t.relname IN ('segments', 'vectors_512') "
        "AND NOT i.indisprimary AND NOT i.indisunique"
    ).fetchall()
    for name, _ in rows:
        connection.execute(f"DROP INDEX {name}")
    return [definition for _, definition in rows]


def _word(number: int) -> str:
    consonants, vowels = "bcdfghjklmnpqrstvwxz", "aeiouy"
    made = ""
    while True:
        number, second = divmod(number, len(consonants) * len(vowels))
        made += consonants[second // len(vowels)] + vowels[second % len(vowels)]
        if not number:
            return made + "n"


def _unit(rows: Vectors) -> Vectors:
    lengths = numpy.linalg.norm(rows, axis=1, keepdims=True)
    made: Vectors = numpy.divide(rows, lengths, dtype=numpy.float32)
    return made
