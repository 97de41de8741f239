"""LangChain as a side of `index`: its indexing API with a record manager, over PGVector.

`python _side_langchain.py URL FOLDER MODEL TOKENS OVERLAP`: prints one line of JSON. PGVector stores a
batch in one transaction; PGVectorStore, its successor, has one for each segment and takes twice as long.
"""

import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from _index_worker import cpu_seconds
from _side_index import files, run, vectors_of
from langchain_classic.indexes import (  # type: ignore[import-not-found,unused-ignore]  # only in the peers' venv
    SQLRecordManager,
)
from langchain_core.documents import (  # type: ignore[import-not-found,unused-ignore]  # as above
    Document,
)
from langchain_core.embeddings import (  # type: ignore[import-not-found,unused-ignore]  # as above
    Embeddings,
)
from langchain_core.indexing import (  # type: ignore[import-not-found,unused-ignore]  # as above
    index,
)
from langchain_postgres import PGVector  # type: ignore[import-not-found,unused-ignore]  # as above
from langchain_text_splitters import (  # type: ignore[import-not-found,unused-ignore]  # as above
    RecursiveCharacterTextSplitter,
)

BATCH = 100  # its own default


class Given(Embeddings):  # type: ignore[misc,unused-ignore]  # Any outside the peers' venv
    """The model that all sides are given, as lists of floats, which is what it takes."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [vector.tolist() for vector in self._made.embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def splitter(tokens: int, overlap: int) -> Any:
    """Its usual splitter, counting tokens of the vocabulary that LlamaIndex's wheel has inside."""
    found = importlib.util.find_spec("llama_index.core")
    if found is None or found.origin is None:
        raise SystemExit("LlamaIndex, whose vocabulary is used, is not installed")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(found.origin).parent / "_static/tiktoken_cache")
    return RecursiveCharacterTextSplitter.from_tiktoken_encoder(
        "cl100k_base", chunk_size=tokens, chunk_overlap=overlap, disallowed_special=()
    )


def langchain(url: str, folder: str, model: str, tokens: int, overlap: int) -> dict[str, Any]:
    made = vectors_of(model)
    address = url.replace("postgresql://", "postgresql+psycopg://", 1)
    store = PGVector(Given(made), connection=address, embedding_length=made.width)
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE INDEX ON langchain_pg_embedding USING hnsw (embedding vector_cosine_ops)"
        )
    records = SQLRecordManager("bench", db_url=address)
    records.create_schema()
    pieces = splitter(tokens, overlap)
    pieces.split_text("warm")

    def segments() -> Iterator[Document]:
        for path in files(folder):
            whole = Document(path.read_text(), metadata={"source": path.name})
            yield from pieces.split_documents([whole])

    began, used = time.perf_counter(), cpu_seconds()
    index(segments(), records, store, batch_size=BATCH, key_encoder="blake2b")
    seconds, used = time.perf_counter() - began, cpu_seconds() - used
    with psycopg.connect(url) as connection:
        stored = connection.execute(
            "SELECT count(embedding), count(DISTINCT cmetadata ->> 'source') "
            "FROM langchain_pg_embedding"
        ).fetchone()
    assert stored is not None  # noqa: S101 - an aggregate is always one row
    return {"seconds": seconds, "cpu": used, "segments": stored[0], "documents": stored[1]}


if __name__ == "__main__":
    run(langchain)
