"""Workers: who is there, what each runs, and which of them should go."""

from __future__ import annotations

from collections import Counter

from starlette.responses import Response

from taskhub.dashboard.acting import Done, act, chosen
from taskhub.dashboard.routing import action, screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import holding, insight, worker_actions
from taskhub.queue.holding import RunningJob
from taskhub.queue.worker_actions import UnknownWorker, WorkerLives

KINDS = {
    mark("live"): "ok",
    mark("draining"): "warn",
    mark("drained"): "off",
    mark("lost"): "bad",
}
MOST_RUNNING = 500


def listing(visit: Visit) -> Response:
    """The workers that are there or were lost, and on demand those of the past."""
    stopped = visit.asked("stopped") == "1"
    workers = insight.workers(visit.reader, stopped=stopped)
    present = [worker for worker in workers if worker.state in KINDS]
    versions = Counter(worker.version or "procrastinate" for worker in present)
    return visit.page(
        "workers.html",
        workers=workers,
        stopped=stopped,
        kinds=KINDS,
        versions=versions.most_common(),
        running=_running(visit),
    )


def _running(visit: Visit) -> dict[int | None, list[RunningJob]]:
    """What each worker runs now, by the worker's id."""
    found: dict[int | None, list[RunningJob]] = {}
    for job in holding.work(visit.reader, limit=MOST_RUNNING):
        found.setdefault(job.worker_id, []).append(job)
    return found


def drain(visit: Visit) -> Response:
    """Ask workers to take no more jobs, and to end when theirs have ended."""
    ids, stay = chosen(visit), visit.posted("stay") == "1"

    def change() -> Done:
        asked = worker_actions.drain(visit.hub, ids, stay=stay)
        told = visit.translate(
            "%(changed)s of %(matched)s workers were asked to drain.",
            changed=len(asked),
            matched=len(ids),
        )
        return Done(said=told, matched=len(ids), changed=len(asked))

    return act(visit, "drain", {"worker_ids": ids, "stay": stay}, change)


def rescue(visit: Visit) -> Response:
    """Give back the jobs of workers that are lost."""
    ids = chosen(visit)

    def change() -> Done:
        rescued = worker_actions.rescue(visit.hub, ids)
        told = visit.translate("%(jobs)s jobs were given back.", jobs=len(rescued))
        return Done(said=told, matched=len(rescued), changed=len(rescued))

    refusals = (UnknownWorker, WorkerLives)
    return act(visit, "rescue", {"worker_ids": ids}, change, refusals=refusals)


ROUTES = (
    screen("/workers", listing, name="workers", title=mark("Workers"), nav=60),
    action("/workers/drain", drain, name="workers.drain"),
    action("/workers/rescue", rescue, name="workers.rescue"),
)
