"""One look at whether everything is as it should be, each check with the step that mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from taskhub.queue import Hub, insight
from taskhub.system import flow, rules, server, surroundings
from taskhub.system.findings import Finding, Reader, lacking

State = Literal["ok", "warn", "fail", "skipped"]
# More lines of one rule say no more; `taskhub alerts` has them.
MOST_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check; `remedy` is empty where nothing needs mending."""

    check: str
    state: State
    text: str
    remedy: str = ""


def examine(hub: Hub, *, smtp: bool = False, embedding: bool = False) -> Iterator[Check]:
    """Every check, one after another as they are made; those that a broken one hides are skipped.

    Args:
        smtp: also talk to the mail server.
        embedding: also have a text embedded.
    """
    yield from surroundings.settings(hub)
    try:
        with hub.engine.connect() as connection:
            version = connection.scalar(text("SHOW server_version"))
        yield Check(check="database", state="ok", text=f"reached, PostgreSQL {version}")
        missing = lacking(hub, "queue")
    except SQLAlchemyError as error:
        told = " ".join(str(getattr(error, "orig", error)).split())
        remedy = "is it running, and is TASKHUB_DATABASE_URL right? `taskhub db start` if embedded"
        yield Check(check="database", state="fail", text=f"not reached: {told}", remedy=remedy)
        return
    if missing:
        told = missing.partition(";")[0]
        yield Check(check="schema", state="fail", text=told, remedy="taskhub db migrate")
        return  # what follows would only say the same of each table
    yield _made("schema", lambda: _schema(lacking(hub, "kb")))
    reader = Reader(hub)
    for name, rule in rules.RULES.items():
        # The check of the disk says more.
        yield from () if rule is flow.low_disk else _of_rule(name, rule, reader)
    for name, look in LOOKS.items():
        yield _made(name, lambda look=look: look(hub))  # type: ignore[misc]  # bound at once
    if smtp:
        yield _made("smtp", lambda: surroundings.smtp(hub))
    if embedding:
        yield _made("embedding", lambda: surroundings.embedding(hub))


def _made(name: str, look: Callable[[], tuple[State, str, str]]) -> Check:
    try:
        state, told, remedy = look()
    except Exception as error:  # noqa: BLE001 - a check that breaks must not hide the others
        told = f"could not be looked at: {type(error).__name__}: {error}"
        return Check(check=name, state="warn", text=" ".join(told.split())[:300])
    return Check(check=name, state=state, text=told, remedy=remedy)


def _schema(missing: str | None) -> tuple[State, str, str]:
    if missing is None:
        return "ok", "up to date", ""
    # The queue works without it; see the check of pgvector, which may be why.
    return "warn", f"the knowledge base: {missing.partition(';')[0]}", "taskhub db migrate"


def _of_rule(name: str, rule: rules.Rule, reader: Reader) -> Iterator[Check]:
    try:
        found = rule(reader)
    except Exception as error:  # noqa: BLE001 - as above
        told = f"could not be looked at: {type(error).__name__}: {error}"
        yield Check(check=name, state="warn", text=" ".join(told.split())[:300])
        return
    if not found:
        yield Check(check=name, state="ok", text=_first_line(rule))
    for finding in found[:MOST_TOLD]:
        yield _of_finding(name, finding)
    if len(found) > MOST_TOLD:
        more = f"and {len(found) - MOST_TOLD} more"
        yield Check(check=name, state="warn", text=more, remedy="taskhub alerts ls")


def _of_finding(name: str, finding: Finding) -> Check:
    state: State = "fail" if finding.severity == "critical" else "warn"
    return Check(check=name, state=state, text=finding.text, remedy=finding.remedy)


def _first_line(rule: rules.Rule) -> str:
    """What the rule looks for, of which there is none."""
    looked_for = rules.looks_for(rule)
    return f"none: {looked_for[:1].lower()}{looked_for[1:]}"


def _workers(hub: Hub) -> tuple[State, str, str]:
    live = [w for w in insight.workers(hub) if w.state in ("live", "draining", "drained")]
    lost = [w for w in insight.workers(hub) if w.state == "lost"]
    if lost:
        remedy = f"they are rescued by themselves; now: `taskhub rescue {lost[0].id}`"
        return "warn", f"{len(live)} live, {len(lost)} lost", remedy
    if not live:
        return "warn", "no worker is live", "taskhub worker"
    serves = any(w.queues is None or "system" in w.queues for w in live)
    if not serves:
        told = f"{len(live)} live, none of which serves queue 'system': nothing is watched"
        return "warn", told, "taskhub worker --queue system"
    return "ok", f"{len(live)} live", ""


LOOKS: Mapping[str, Callable[[Hub], tuple[State, str, str]]] = {
    "workers": _workers,
    "versions": server.worker_versions,
    "monitor": server.monitor,
    "server": server.version,
    "rights": server.rights,
    "notifications": server.notifications,
    "connections": surroundings.connections,
    "autovacuum": server.autovacuum,
    "indexes": server.indexes,
    "logged": server.logged,
    "slots": server.slots,
    "locale": server.locale,
    "clock": surroundings.clock,
    "disk": surroundings.disk,
    "extensions": server.extensions,
    "vectors": surroundings.vectors,
    "notices": surroundings.notices,
}
