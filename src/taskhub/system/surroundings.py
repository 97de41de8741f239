"""Checks of what taskhub stands on: settings, connections, clock, disk, pgvector, mail server, model."""

from __future__ import annotations

import difflib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import text

from taskhub import embedded
from taskhub.queue import Hub, insight
from taskhub.settings import PREFIX, Settings
from taskhub.system import sinks

if TYPE_CHECKING:
    from taskhub.system.doctor import Check

State = Literal["ok", "warn", "fail", "skipped"]
Told = tuple[State, str, str]
# A worker's own connections beside its pool: tick, notifications, lease, scheduler, chores.
WORKER_CONNECTIONS = 6
POOL_EXTRA = 3
SKEW_SECONDS = 2.0
SMTP_SECONDS = 10.0
# Of the share that is called low: there it is a matter of hours.
LOWEST_OF_LOW = 0.3
# Of the project's own tools, which read them beside the settings.
TOOLS = frozenset({"TASKHUB_TEST_DATABASE_URL"})


def settings(hub: Hub, environ: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Variables that look like settings and are none: what they were meant for has its default."""
    from taskhub.system.doctor import Check

    known = {PREFIX + name.upper() for name in Settings.__dataclass_fields__ if name != "sources"}
    unknown = sorted(n for n in environ if n.startswith(PREFIX) and n not in known | TOOLS)
    for name in unknown[:10]:
        near = difflib.get_close_matches(name, known, 1)
        remedy = f"unset it, or did you mean {near[0]}?" if near else "unset it"
        told = f"{name} is set and is no setting"
        yield Check(check="settings", state="warn", text=told, remedy=remedy)
    if not unknown:
        given = sum(source != "default" for source in hub.settings.sources.values())
        yield Check(check="settings", state="ok", text=f"{given} set, all of them known")


def connections(hub: Hub) -> Told:
    """Whether the server takes all connections that the live workers may open at once."""
    with hub.engine.connect() as connection:
        row = connection.execute(
            text("""
                SELECT
                    current_setting('max_connections')::integer
                        - current_setting('superuser_reserved_connections')::integer AS most,
                    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used
            """)
        ).one()
    live = [w for w in insight.workers(hub) if w.state == "live"]
    wanted = sum((w.concurrency or 1) + POOL_EXTRA + WORKER_CONNECTIONS for w in live)
    told = f"{len(live)} workers may open {wanted}, {row.used} of {row.most} are open"
    if wanted > row.most:
        return "warn", told, "lower concurrency, raise max_connections, or put PgBouncer between"
    if row.used > 0.9 * row.most:
        return "warn", told, "close idle programs, or raise max_connections"
    return "ok", told, ""


def clock(hub: Hub) -> Told:
    """How far this machine's clock is from the database's; only the database's decides."""
    with hub.engine.connect() as connection:
        connection.scalar(text("SELECT 1"))
        began = time.monotonic()
        before = datetime.now(UTC)
        theirs: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        took = time.monotonic() - began
    skew = (theirs - before).total_seconds() - took / 2
    if abs(skew) > SKEW_SECONDS + took:
        told = (
            f"this machine is {abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} the database"
        )
        return "warn", told, "let both follow a time server; ages on screens are off by that"
    return "ok", f"within {max(abs(skew), 0.001):.3f} s of the database's", ""


def places(hub: Hub) -> list[Path]:
    """Folders whose disk matters and can be seen from here: of the backups, of the embedded Postgres."""
    found = [hub.settings.backup_directory] if hub.settings.backup_directory else []
    if hub.settings.database_url == "embedded":
        found.append(embedded.home(hub.settings))
    return found


def room(hub: Hub) -> list[tuple[Path, float]]:
    """The share that is free, by place; what does not exist is left out."""
    there = [place for place in places(hub) if place.exists()]
    usages = [(place, shutil.disk_usage(place)) for place in there]
    return [(place, usage.free / usage.total) for place, usage in usages]


def disk(hub: Hub) -> Told:
    """Room where we know the place: the embedded Postgres and the folder of the backups."""
    for place in places(hub):
        if not place.exists():
            return "fail", f"{place} does not exist", f"mkdir -p {place}"
    told = []
    state: State = "ok"
    least = hub.settings.alert_disk_free_share
    for place, share in room(hub):
        told.append(f"{share:.0%} free at {place}")
        if share < least * LOWEST_OF_LOW:
            state = "fail"
        elif share < least and state == "ok":
            state = "warn"
    if not told:
        return "skipped", "the server's disk cannot be seen from here", ""
    return state, ", ".join(told), "" if state == "ok" else "make room; `taskhub prune --dry-run`"


def vectors(hub: Hub) -> Told:
    """Whether pgvector is there, and can run on this processor where the server runs here."""
    if hub.settings.database_url == "embedded" and (refusal := embedded.vector_refusal()):
        return "warn", refusal, "use a Postgres with a pgvector of its own"
    with hub.engine.connect() as connection:
        version = connection.scalar(
            text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        )
    if version is None:
        remedy = "apt install postgresql-NN-pgvector, then `taskhub db migrate`"
        return "warn", "pgvector is not in this database: there is no knowledge base", remedy
    return "ok", f"pgvector {version}", ""


def notices(hub: Hub) -> Told:
    """Whether anybody would hear of an alert."""
    if known := sinks.names(hub.settings):
        return "ok", f"go to {', '.join(known[:5])}", ""
    told = "alerts and failures are told to nobody"
    return "warn", told, "set notice_mail_to, notice_webhook_url or notice_apprise_urls"


def smtp(hub: Hub) -> Told:
    """Whether the mail server answers, takes TLS and the login as they are set; no mail is sent."""
    import smtplib
    import ssl

    wanted = hub.settings
    if wanted.mail_sender != "smtp":
        return "skipped", f"mails go by {wanted.mail_sender}", ""
    where = f"{wanted.smtp_host}:{wanted.smtp_port}"
    host, port = wanted.smtp_host, wanted.smtp_port
    try:
        tls = ssl.create_default_context(cafile=wanted.smtp_ca_file)
        server = (
            smtplib.SMTP_SSL(host, port, timeout=SMTP_SECONDS, context=tls)
            if wanted.smtp_security == "tls"
            else smtplib.SMTP(host, port, timeout=SMTP_SECONDS)
        )
        with server:
            if wanted.smtp_security == "starttls":
                server.starttls(context=tls)
            if wanted.smtp_username:
                server.login(wanted.smtp_username, wanted.smtp_password or "")
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        remedy = "see TASKHUB_SMTP_HOST, _PORT, _SECURITY; mails wait and are tried again"
        return "fail", f"{where}: {type(error).__name__}: {error}", remedy
    return "ok", f"{where} answers", ""


def embedding(hub: Hub) -> Told:
    """Whether the model makes a vector of a text, and how long that takes."""
    from taskhub.kb.vectors.embedders import embedder

    began = time.monotonic()
    try:
        [vector] = embedder(hub.settings.embedder).embed(["taskhub"])
    except Exception as error:  # noqa: BLE001 - a provider may fail in any way
        remedy = "see TASKHUB_EMBEDDER; documents wait and are tried again"
        return "fail", f"{hub.settings.embedder}: {type(error).__name__}: {error}", remedy
    seconds = time.monotonic() - began
    return "ok", f"{hub.settings.embedder} gives {len(vector)} numbers in {seconds:.2f} s", ""
