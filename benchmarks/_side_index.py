"""Sides of `index`: read a folder into vectors, or embed its texts and do nothing else.

`python _side_index.py SIDE URL FOLDER MODEL TOKENS OVERLAP`: prints one line of JSON. The peers' sides import
what is common; they have no taskhub but its models.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def files(folder: str) -> list[Path]:
    return sorted(path for path in Path(folder).iterdir() if path.is_file())


def vectors_of(model: str) -> Any:
    from taskhub.kb.vectors.embedders import embedder

    made = embedder(model)
    made.embed(["warm"])
    return made


def taskhub(url: str, folder: str, model: str, tokens: int, overlap: int) -> dict[str, Any]:
    from taskhub import app, settings
    from taskhub.accounts.tenants import ensure
    from taskhub.kb.datasets import create
    from taskhub.kb.segments.cut import cut
    from taskhub.kb.segments.rules import ProcessRule
    from taskhub.kb.segments.words import keywords
    from taskhub.kb.ways_in import documents

    # What is made once in a process is made before the clock starts, on every side.
    vectors_of(model)
    list(cut(["warm"], ProcessRule()))
    keywords("warm")
    hub = app.build(settings.load({"database_url": url, "concurrency": 4}))
    with hub.transaction() as session:
        tenant = ensure(session, "bench").id
        dataset_id = create.create(
            session, tenant, "bench", embedding_model=model,
            rule=ProcessRule(tokens=tokens, overlap_tokens=overlap),
        ).id  # fmt: skip
    began, cpu = time.perf_counter(), cpu_seconds()
    for path in files(folder):
        documents.add_document(hub, dataset_id, path)
    hub.run_worker(wait=False)
    seconds, used = time.perf_counter() - began, cpu_seconds() - cpu
    began = time.perf_counter()
    again = documents.index_dataset_again(hub, dataset_id)
    hub.run_worker(wait=False)
    unchanged = time.perf_counter() - began
    with hub.transaction() as session:
        counts = session.connection().exec_driver_sql(
            "SELECT count(*), count(*) FILTER (WHERE state = 'completed'), sum(segments_done) "
            "FROM taskhub_kb.documents"
        )
        documents_all, completed, segments = counts.one()
    hub.close()
    return {
        "seconds": seconds, "cpu": used, "documents": documents_all, "completed": completed,
        "segments": int(segments or 0), "again": unchanged, "again_deferred": again.deferred,
    }  # fmt: skip


def alone(_: str, folder: str, model: str, tokens: int, overlap: int) -> dict[str, Any]:
    """The embedder by itself over the segments' texts of the same splitter, on one process."""
    from taskhub.kb.segments.cut import cut
    from taskhub.kb.segments.rules import ProcessRule

    rule = ProcessRule(tokens=tokens, overlap_tokens=overlap)
    made = vectors_of(model)
    texts = [piece.text for path in files(folder) for piece in cut([path.read_text()], rule)]
    distinct = list(dict.fromkeys(texts))
    began, cpu = time.perf_counter(), cpu_seconds()
    for start in range(0, len(distinct), 64):
        made.embed(distinct[start : start + 64])
    return {
        "seconds": time.perf_counter() - began,
        "cpu": cpu_seconds() - cpu,
        "segments": len(texts),
    }


def cpu_seconds() -> float:
    """Of this process and of children that have ended; Postgres is not among them."""
    ours = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(who) for who in ours]
    return sum(each.ru_utime + each.ru_stime for each in used)


def run(side: Callable[..., dict[str, Any]]) -> None:
    """Give a side the last five arguments, and print what it tells."""
    url, folder, model, tokens, overlap = sys.argv[-5:]
    told = side(url, folder, model, int(tokens), int(overlap))
    told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    run({"taskhub": taskhub, "alone": alone}[sys.argv[1]])
