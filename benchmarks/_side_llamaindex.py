"""LlamaIndex as a side of `index`: its IngestionPipeline into its PGVectorStore.

`python _side_llamaindex.py URL FOLDER MODEL TOKENS OVERLAP`: prints one line of JSON. Its cache of
transformations is off, and it has no document store: both cost time at the first run.
"""

import time
from typing import Any

import psycopg
from _index_worker import cpu_seconds
from _side_index import files, run, vectors_of
from llama_index.core import Document  # type: ignore[import-not-found,unused-ignore]  # only in the peers' venv
from llama_index.core.base.embeddings.base import (  # type: ignore[import-not-found,unused-ignore]  # as above
    BaseEmbedding,
)
from llama_index.core.ingestion import (  # type: ignore[import-not-found,unused-ignore]  # as above
    IngestionPipeline,
)
from llama_index.core.node_parser import (  # type: ignore[import-not-found,unused-ignore]  # as above
    SentenceSplitter,
)
from llama_index.vector_stores.postgres import (  # type: ignore[import-not-found,unused-ignore]  # as above
    PGVectorStore,
)
from pydantic import PrivateAttr

BATCH = 64  # texts that the model is given at once; its default of 10 is slower


class Given(BaseEmbedding):  # type: ignore[misc,unused-ignore]  # Any outside the peers' venv
    """The model that all sides are given, as lists of floats, which is what it takes."""

    _made: Any = PrivateAttr()

    def __init__(self, made: Any) -> None:
        super().__init__(model_name=made.name, embed_batch_size=BATCH)
        self._made = made

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [vector.tolist() for vector in self._made.embed(texts)]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def llamaindex(url: str, folder: str, model: str, tokens: int, overlap: int) -> dict[str, Any]:
    made = vectors_of(model)
    store = PGVectorStore(
        connection_string=url.replace("postgresql://", "postgresql+psycopg2://", 1),
        async_connection_string=url.replace("postgresql://", "postgresql+asyncpg://", 1),
        table_name="bench",
        embed_dim=made.width,
        # pgvector's own defaults, which are those of our index too.
        hnsw_kwargs={"hnsw_m": 16, "hnsw_ef_construction": 64},
        initialization_fail_on_error=True,
    )
    pieces = SentenceSplitter(chunk_size=tokens, chunk_overlap=overlap)
    pipeline = IngestionPipeline(
        transformations=[pieces, Given(made)], vector_store=store, disable_cache=True
    )
    pieces.split_text("warm")
    store.add([])  # lays out its table and the index

    began, used = time.perf_counter(), cpu_seconds()
    pipeline.run(
        documents=[Document(text=path.read_text(), id_=path.name) for path in files(folder)]
    )
    seconds, used = time.perf_counter() - began, cpu_seconds() - used
    with psycopg.connect(url) as connection:
        stored = connection.execute(
            "SELECT count(embedding), count(DISTINCT metadata_ ->> 'ref_doc_id') FROM data_bench"
        ).fetchone()
    assert stored is not None  # noqa: S101 - an aggregate is always one row
    return {"seconds": seconds, "cpu": used, "segments": stored[0], "documents": stored[1]}


if __name__ == "__main__":
    run(llamaindex)
