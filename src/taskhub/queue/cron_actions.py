"""How the schedules stand, and what an operator does to them: pause, resume, run now.

Every function works on connections of its own, in no transaction of the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping

from taskhub.queue.crons import ON_TIME_SECONDS, DeclaredCron, declared
from taskhub.queue.jobs import Job
from taskhub.queue.schedules import parse

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub


class UnknownCron(LookupError):
    """No schedule has this name, neither here nor in the database."""


class CronInUse(RuntimeError):
    """A live worker declares the schedule, and would enter it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronState:
    """One schedule as the database has it.

    Attributes:
        name: the task's name, and after a colon the id where the schedule has one.
        state: "active"; "paused"; "stopped" where ticks pass and no live worker declares them any
            more; "new" where no worker has declared it yet.
        next_tick: when it is due, without jitter; None unless the state is "active".
        last_tick: the newest tick that was dealt with; last_job_id is its job.
        now: the database's clock, which decides.
    """

    name: str
    task: str
    id: str
    expression: str
    tz: str
    catch_up: str
    jitter_seconds: float
    state: str
    next_tick: datetime | None
    last_tick: datetime | None
    last_job_id: int | None
    paused_at: datetime | None
    pause_reason: str | None
    now: datetime

    def next_ticks(self, count: int = 5) -> list[datetime]:
        """The next ticks on the clock of the schedule's time zone, also of a paused one."""
        schedule, zone = parse(self.expression, self.tz), ZoneInfo(self.tz)
        ticks: list[datetime] = []
        tick = schedule.next_after(self.now)
        while tick is not None and len(ticks) < count:
            ticks.append(tick.astimezone(zone))
            tick = schedule.next_after(tick)
        return ticks


class Crons:
    """The schedules of one hub's database; what `hub.crons` is."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def states(self, *names: str) -> list[CronState]:
        """The schedules of the fleet and of this hub, by name; all of them if no name is given.

        Raises:
            UnknownCron: none has one of the names.
        """
        here = {(cron.task.name, cron.id): cron for cron in declared(self._hub)}
        rows = {(row["task_name"], row["cron_id"]): row for row in self._hub.read("list_crons")}
        now = self._hub.read("read_clock")[0]["now"]
        known = {}
        for key in sorted({*rows, *here}):
            state = _stored(rows[key], now) if key in rows else _new(here[key], now)
            known[state.name] = state
        if missing := [name for name in names if name not in known]:
            raise UnknownCron(f"no schedule is named {missing[0]!r}; see `taskhub cron ls`")
        return [known[name] for name in names] if names else list(known.values())

    def pause(self, name: str, *, reason: str | None = None) -> CronState:
        """Give its ticks no jobs until `resume`; jobs that wait already still run.

        Raises:
            UnknownCron: none has this name.
        """
        [before] = self.states(name)
        self._hub.write("pause_cron", **_row_of(before), reason=reason)
        return self.states(name)[0]

    def resume(self, name: str) -> CronState:
        """Go on with the next tick; what came meanwhile is left out, whatever catch_up says.

        Raises:
            UnknownCron: none has this name.
        """
        [before] = self.states(name)
        self._hub.write("resume_cron", task_name=before.task, cron_id=before.id)
        return self.states(name)[0]

    def remove(self, name: str, *, dry_run: bool = False) -> CronState:
        """Forget a schedule that no live worker declares, its mark and its pause too; how it stood.

        Its jobs stay. If a program declares it again, it begins anew, with nothing to catch up.

        Raises:
            UnknownCron: none has this name.
            CronInUse: a live worker declares it; nothing was changed.
        """
        [before] = self.states(name)
        key = {"task_name": before.task, "cron_id": before.id}
        if workers := self._hub.read("cron_workers", name=name):
            first, others = workers[0], len(workers) - 1
            more = f" and {others} more" if others else ""
            raise CronInUse(
                f"schedule {name!r} is declared by live worker {first['id']} ({first['host']}, pid "
                f"{first['pid']}){more}, which would enter it again; take it out of the program first, or "
                f"`taskhub cron pause {name}`"
            )
        if not dry_run:
            self._hub.write("delete_cron", **key)
        return before

    def run(self, name: str) -> Job[Any]:
        """Defer a job of it now, paused or not; its ticks stay as they are.

        `scheduled_for`, where the task takes it, is the current time of the database.

        Raises:
            UnknownCron: this hub declares none of this name; another program's cannot be run from here.
        """
        cron = next((cron for cron in declared(self._hub) if cron.name == name), None)
        if cron is None:
            [state] = self.states(name)
            raise UnknownCron(
                f"schedule {name!r} is declared by another program, whose task {state.task!r} is not known "
                "here; name its hub with --app"
            )
        [row] = self._hub.read("read_clock")
        options = cron.task.options(autocommit=True).options_given
        job = cron.new_job(row["now"]).due_at(None)
        ids = self._hub.insert(options, [job])
        for job_id in ids.new():
            self._hub.tell_deferred(job_id, cron.task.name, job.common.queue_name)
        return Job(ids[0], cron.task.name, self._hub, not ids.kept)


def _row_of(state: CronState) -> dict[str, Any]:
    return {
        "task_name": state.task,
        "cron_id": state.id,
        "expression": state.expression,
        "zone": state.tz,
        "catch_up": state.catch_up,
        "jitter_seconds": state.jitter_seconds,
    }


def _stored(row: RowMapping, now: datetime) -> CronState:
    schedule = parse(row["expression"], row["zone"])
    due = schedule.next_after(row["mark"])
    if row["paused_at"] is not None:
        state = "paused"
    elif due is not None and due < now - timedelta(seconds=ON_TIME_SECONDS):
        state = "stopped"
    else:
        state = "active"
    name, cron_id = row["task_name"], row["cron_id"]
    return CronState(
        name=f"{name}:{cron_id}" if cron_id else name,
        task=name,
        id=cron_id,
        expression=row["expression"],
        tz=row["zone"],
        catch_up=row["catch_up"],
        jitter_seconds=row["jitter_seconds"],
        state=state,
        next_tick=due.astimezone(ZoneInfo(row["zone"])) if due and state == "active" else None,
        last_tick=row["last_tick"],
        last_job_id=row["last_job_id"],
        paused_at=row["paused_at"],
        pause_reason=row["pause_reason"],
        now=now,
    )


def _new(cron: DeclaredCron, now: datetime) -> CronState:
    return CronState(
        name=cron.name,
        task=cron.task.name,
        id=cron.id,
        expression=cron.schedule.text,
        tz=cron.schedule.zone,
        catch_up=str(cron.catch_up),
        jitter_seconds=cron.jitter_seconds,
        state="new",
        next_tick=None,
        last_tick=None,
        last_job_id=None,
        paused_at=None,
        pause_reason=None,
        now=now,
    )
