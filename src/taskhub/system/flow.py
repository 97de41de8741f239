"""The monitor's rules on how jobs flow: backlogs, stand-still, storms of retries, room."""

from __future__ import annotations

from datetime import timedelta

from taskhub.queue import insight
from taskhub.queue.why.words import span
from taskhub.system import surroundings
from taskhub.system.findings import Finding, Reader

WINDOW = timedelta(minutes=10)
# Of the runs of a task; below it, retries are weather.
STORM_SHARE = 0.5
# What comes must be more than what goes by so much, or it is noise.
GROWTH_SHARE = 0.1


def growing_backlog(reader: Reader) -> list[Finding]:
    """Queues to which more comes than goes, and whose ready jobs need longer than they should."""
    settings = reader.settings
    found = []
    ready = {q.queue: q.ready for q in reader.queues}
    for flow in insight.flows(reader.hub, WINDOW):
        waiting = ready.get(flow.queue, 0)
        grows = flow.came > flow.went * (1 + GROWTH_SHARE)
        if waiting < settings.alert_backlog_jobs or not grows:
            continue
        seconds = WINDOW.total_seconds()
        left = waiting / (flow.went / seconds) if flow.went else None
        if left is not None and left < settings.alert_backlog_eta_seconds:
            continue
        pace = (
            f"what waits needs {span(left)} at this pace, if no more comes"
            if left is not None
            else "none of it is done"
        )
        minutes = seconds / 60
        found.append(
            Finding(
                about=flow.queue,
                text=f"queue {flow.queue!r} grows: {flow.came / minutes:.0f} jobs a minute come and "
                f"{flow.went / minutes:.0f} go, {waiting} are ready; {pace}",
                remedy=f"more workers or slots for it; see `taskhub top` and `taskhub stats`, then "
                f"`taskhub worker --queue {flow.queue}`",
            )
        )
    return found


def stalled(reader: Reader) -> list[Finding]:
    """Jobs held by workers that are gone, and queues in which nothing starts although workers live."""
    most = reader.settings.alert_stalled_seconds
    found = [
        Finding(
            about=f"worker:{worker.id}",
            severity="critical",
            text=f"worker {worker.id} is lost and still holds {worker.running} jobs: nobody gives them back",
            remedy="start a worker, which does it by itself; or now: `taskhub rescue --yes`",
        )
        for worker in insight.workers(reader.hub)
        if worker.state == "lost" and worker.running
    ]
    moving = insight.moving(reader.hub, timedelta(seconds=most))
    paused = {limit.name for limit in reader.hub.limits() if limit.paused_at is not None}
    found += [
        Finding(
            about=q.queue,
            severity="critical",
            text=f"nothing runs in queue {q.queue!r} for {span(most)}, with ready jobs and a live worker",
            remedy=f"taskhub ls --queue {q.queue} --status todo, then `taskhub why` of the oldest one",
        )
        for q in reader.queues
        if q.workers
        and q.ready
        and not q.running
        and (q.oldest_ready_seconds or 0) >= most
        and q.queue not in moving
        and f"queue:{q.queue}" not in paused
    ]
    return found


def retry_storm(reader: Reader) -> list[Finding]:
    """Tasks most of whose runs are tried again, many times within ten minutes."""
    return [
        Finding(
            about=one.task,
            text=f"task {one.task!r} is tried again and again: {one.retried} of {one.runs} runs in "
            f"{span(WINDOW.total_seconds())}",
            remedy=f"taskhub tail --task {one.task} --event retried; `taskhub pause --task {one.task}` "
            "gives what it calls a rest",
        )
        for one in insight.retries(reader.hub, WINDOW)
        if one.retried >= reader.settings.alert_retries and one.retried >= STORM_SHARE * one.runs
    ]


def low_disk(reader: Reader) -> list[Finding]:
    """Little room left where the server or the backups lie, as far as it can be seen from here."""
    least = reader.settings.alert_disk_free_share
    return [
        Finding(
            about=str(place),
            severity="critical" if share < least * surroundings.LOWEST_OF_LOW else "warning",
            text=f"less than {least:.0%} of the disk is free at {place}",
            remedy="make room; `taskhub prune --dry-run`, `taskhub db backup` to another disk",
        )
        for place, share in surroundings.room(reader.hub)
        if share < least
    ]
