"""Sides of `index`: read a folder into vectors, or embed its texts and do nothing else.

`python _side_index.py SIDE URL FOLDER MODEL TOKENS OVERLAP`: prints one line of JSON. The peers' sides import
what is common; they have no taskhub but its models.
"""

import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from _index_worker import Worker, cpu_seconds

# A worker process for each core, as `taskhub worker --processes` starts them.
PROCESSES = int(os.environ.get("BENCH_PROCESSES") or os.cpu_count() or 1)


def files(folder: str) -> list[Path]:
    return sorted(path for path in Path(folder).iterdir() if path.is_file())


def vectors_of(model: str) -> Any:
    from taskhub.kb.vectors.embedders import embedder

    made = embedder(model)
    made.embed(["warm"])
    return made


def taskhub(url: str, folder: str, model: str, tokens: int, overlap: int) -> dict[str, Any]:
    """Worker processes wait for jobs when the clock starts; it stops when all is findable."""
    from taskhub import app, settings
    from taskhub.accounts.tenants import ensure
    from taskhub.kb.datasets import create
    from taskhub.kb.segments.rules import ProcessRule
    from taskhub.kb.ways_in import documents

    hub = app.build(settings.load({"database_url": url}))
    with hub.transaction() as session:
        tenant = ensure(session, "bench").id
        dataset_id = create.create(
            session, tenant, "bench", embedding_model=model,
            rule=ProcessRule(tokens=tokens, overlap_tokens=overlap),
        ).id  # fmt: skip
    workers = [Worker(url, model) for _ in range(PROCESSES)]
    began, cpu = time.perf_counter(), cpu_seconds()
    for path in files(folder):
        documents.add_document(hub, dataset_id, path)
    while _count(hub, "state NOT IN ('completed', 'error')"):
        time.sleep(0.01)
    seconds, used = time.perf_counter() - began, cpu_seconds() - cpu
    ended = [worker.end() for worker in workers]
    began = time.perf_counter()
    again = documents.index_dataset_again(hub, dataset_id)
    unchanged = time.perf_counter() - began
    told = {
        "seconds": seconds, "cpu": used + sum(one["cpu"] for one in ended),
        "documents": _count(hub, "true"), "completed": _count(hub, "state = 'completed'"),
        "segments": _count(hub, "true", "segments"), "again": unchanged,
        "again_deferred": again.deferred, "worker_mb": max(one["peak_mb"] for one in ended),
    }  # fmt: skip
    hub.close()
    return told


def _count(hub: Any, where: str, table: str = "documents") -> int:
    with hub.autocommit.connect() as connection:
        query = f"SELECT count(*) FROM taskhub_kb.{table} WHERE {where}"  # noqa: S608 - ours
        return int(connection.exec_driver_sql(query).scalar_one())


def alone(_: str, folder: str, model: str, tokens: int, overlap: int) -> dict[str, Any]:
    """The embedder by itself over the segments' texts of the same splitter, on as many processes."""
    from taskhub.kb.segments.cut import cut
    from taskhub.kb.segments.rules import ProcessRule

    rule = ProcessRule(tokens=tokens, overlap_tokens=overlap)
    texts = [piece.text for path in files(folder) for piece in cut([path.read_text()], rule)]
    distinct = list(dict.fromkeys(texts))
    groups = [distinct[start : start + 64] for start in range(0, len(distinct), 64)]
    # Fresh interpreters, and not forks of one that has numpy's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, _warm, (model,)) as pool:
        list(pool.map(_embed, [["warm"]] * PROCESSES))
        began = time.perf_counter()
        used = sum(pool.map(_embed, groups))
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "cpu": used, "segments": len(texts)}


_made: list[Any] = []


def _warm(model: str) -> None:
    _made.append(vectors_of(model))


def _embed(texts: list[str]) -> float:
    began = cpu_seconds()
    _made[0].embed(texts)
    return cpu_seconds() - began


def run(side: Callable[..., dict[str, Any]]) -> None:
    """Give a side the last five arguments, and print what it tells."""
    url, folder, model, tokens, overlap = sys.argv[-5:]
    told = side(url, folder, model, int(tokens), int(overlap))
    told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    run({"taskhub": taskhub, "alone": alone}[sys.argv[1]])
