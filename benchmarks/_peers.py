"""What is compared: taskhub and the others, each at the setting that suits it."""

import json
import subprocess
from functools import cache, partial

from _pairs import Measure, Quartiles, compare
from _report import Report
from _server import Server
from _sides import PEERS, Side

TASKHUB = Side(
    name="taskhub",
    script="taskhub",
    jobs=50_000,
    left="SELECT (SELECT count(*) FROM taskhub.procrastinate_jobs) + {jobs} "
    "- (SELECT count(*) FROM taskhub.attempts WHERE outcome = 'succeeded')",
)
PROCRASTINATE = Side(
    name="procrastinate",
    script="procrastinate",
    jobs=2_000,
    left="SELECT count(*) FROM procrastinate_jobs",
)
PGQUEUER = Side(
    name="pgqueuer",
    script="pgqueuer",
    jobs=50_000,
    left="SELECT (SELECT count(*) FROM pgqueuer) + {jobs} "
    "- (SELECT count(*) FROM pgqueuer_log WHERE status = 'successful')",
)
CELERY = Side(name="celery", script="celery", jobs=5_000)

# Pipelines from texts to vectors, by their scripts; each with its packages.
PIPELINES = {
    "langchain": ("LangChain", ("langchain-core", "langchain-postgres")),
    "llamaindex": ("LlamaIndex", ("llama-index-core", "llama-index-vector-stores-postgres")),
}


def taskhub(jobs: int, *, concurrency: int, kind: str = "async", locks: int = 1) -> Side:
    """Our worker; `kind` is one of the side's: async, sync, lock, batch_sync and others."""
    load = ("--kind", kind, "--locks", str(locks))
    work = ("--concurrency", str(concurrency))
    return TASKHUB.with_(
        name=f"taskhub, concurrency {concurrency}", jobs=jobs, load=load, work=work
    )


def procrastinate(
    jobs: int, *, kind: str = "async", locks: int = 1, stop_after: int = 0
) -> list[Side]:
    """Its own worker at each concurrency that is tried; it may stop before all jobs are done."""
    stop = ("--stop-after", str(stop_after)) if stop_after else ()
    return [
        PROCRASTINATE.with_(
            name=f"procrastinate, concurrency {n}",
            jobs=jobs,
            load=("--kind", kind, "--locks", str(locks)),
            work=("--concurrency", str(n), *stop),
            left=None if stop_after else PROCRASTINATE.left,
        )
        for n in (10, 20, 50)
    ]


def pgqueuer(jobs: int, *, batch: int) -> Side:
    """Its queue manager on asyncpg."""
    return PGQUEUER.with_(
        name=f"pgqueuer, asyncpg, batch {batch}", jobs=jobs, work=("--batch", str(batch))
    )


def celery(jobs: int) -> list[Side]:
    """Its worker in both kinds of pool that suit short tasks."""
    return [
        CELERY.with_(
            name=f"celery, Redis, {pool} {n}",
            jobs=jobs,
            work=("--pool", pool, "--concurrency", str(n), "--jobs", str(jobs)),
        )
        for pool, n in (("prefork", 2), ("threads", 20))
    ]


@cache
def version(package: str) -> str:
    """What the peers' venv has of a package."""
    code = f"import importlib.metadata as m, json; print(json.dumps(m.version({package!r})))"
    said = subprocess.run(  # noqa: S603 - the peers' own interpreter
        [str(PEERS), "-c", code], capture_output=True, text=True, check=True
    )
    found: str = json.loads(said.stdout)
    return found


def versus(
    report: Report, postgres: Server, ours: Measure, other: Side, *, bar: float, pairs: int
) -> None:
    """Measure against another queue in pairs, and put it into the table."""
    found = compare(other.name, ours, partial(other.rate, postgres), pairs)
    report.note(f"{other.name}: jobs/s, {other.jobs:,} jobs", str(Quartiles.of(found.second)))
    ratio = found.ratio
    report.at_least(f"taskhub / {other.name}", str(ratio), ratio.lower, bar)
