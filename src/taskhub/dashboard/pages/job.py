"""One job: why it is where it is, what it was given and gave, and every run of it."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response

from taskhub.dashboard import reasons, redaction
from taskhub.dashboard.routing import screen
from taskhub.dashboard.tracebacks import own_frames
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import UnknownJob, insight
from taskhub.queue.filters import JobFilter
from taskhub.queue.states import JobDetail, JobLine

MOST_SIBLINGS = 10
CAN_RETRY = {"failed", "aborted", "cancelled"}
CAN_CANCEL = {"todo", "doing"}


def show(visit: Visit) -> Response:
    """The job of this number."""
    job_id = int(visit.request.path_params["job_id"])
    if job_id >= 1 << 63:
        raise UnknownJob(f"no job {job_id}")
    job = insight.job(visit.reader, job_id)
    why = insight.why(visit.reader, job_id)
    names = visit.house.settings.dashboard_hidden_arguments
    return visit.page(
        "job.html",
        heading=f"{visit.translate(mark('Job'))} {job.id}",
        job=job,
        why=why,
        reasons=[] if visit.language == "en" else reasons.told(why, job, visit.language),
        args=redaction.shown(visit.hub, job.task, job.args or {}, names),
        result=None
        if job.result is None
        else redaction.shown(visit.hub, job.task, job.result, names),
        runs=[(run, own_frames(run.traceback)) for run in reversed(job.history)],
        siblings=_siblings(visit, job),
        can_retry=job.status in CAN_RETRY,
        can_cancel=job.status in CAN_CANCEL,
        links=_links(visit, job),
    )


def _siblings(visit: Visit, job: JobDetail) -> list[JobLine]:
    """Jobs of the same lock that have not ended, newest first."""
    if job.lock is None:
        return []
    wanted = JobFilter(locks=(job.lock,), statuses=("todo", "doing"))
    found = insight.page(visit.reader, wanted, limit=MOST_SIBLINGS + 1, seconds=0.5).jobs
    return [one for one in found if one.id != job.id][:MOST_SIBLINGS]


def _links(visit: Visit, job: JobDetail) -> list[tuple[str, str]]:
    """Where its trace and its logs are, as the settings' patterns say; none that needs a trace it has not."""
    settings = visit.house.settings
    parts = {"job_id": str(job.id), "task": job.task, "queue": job.queue}
    if job.trace_id:
        parts["trace_id"] = job.trace_id
    patterns = (
        (mark("Trace"), settings.dashboard_trace_url),
        (mark("Logs"), settings.dashboard_logs_url),
    )
    wanted = [(word, url) for word, url in patterns if url]
    return [
        (visit.translate(word), _filled(url, parts))
        for word, url in wanted
        if job.trace_id or "{trace_id}" not in url
    ]


def _filled(pattern: str, parts: dict[str, str]) -> str:
    for name, value in parts.items():
        pattern = pattern.replace("{" + name + "}", quote(value, safe=""))
    return pattern


ROUTES = (screen("/jobs/{job_id:int}", show, name="jobs.show", title=mark("Job")),)
