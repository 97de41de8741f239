"""`taskhub db`: migrate, and the embedded Postgres by hand."""

from __future__ import annotations

import os
import shutil

import click

from taskhub import db as addresses
from taskhub import embedded, migrations
from taskhub.cli.backup import backup, restore, verify
from taskhub.cli.errors import SCHEMA, Failed
from taskhub.cli.options import Asked, Verbs, confirm, say
from taskhub.cli.output import write_object
from taskhub.queue import Hub
from taskhub.settings import Settings


@click.group("db", cls=Verbs, examples=("taskhub db migrate", "taskhub db psql", "taskhub db stop"))
def db() -> None:
    """The database: its schema, and the embedded Postgres."""


@db.command("migrate", examples=("taskhub db migrate", "taskhub db migrate --check"))
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL and change nothing.")
@click.option("--check", is_flag=True, help="Exit 5 if the database is behind; change nothing.")
@click.pass_context
def migrate(ctx: click.Context, as_sql: bool, check: bool) -> None:
    """Bring the database to the schema of this version, in one transaction."""
    asked: Asked = ctx.obj
    if as_sql:
        click.echo(migrations.offline_sql(asked.settings()))
        return
    hub = _hub(asked)
    if check:
        lacking = _lacking(hub)
        hub.close()
        say(lacking or "the database is up to date")
        ctx.exit(SCHEMA if lacking else 0)
    report = migrations.upgrade(hub.engine, hub.settings)
    hub.close()
    for line in report.left_out:
        say(f"note: {line}")
    write_object(
        asked,
        {
            "before": list(report.before),
            "after": list(report.after),
            "left_out": list(report.left_out),
        },
        key="after",
    )


def _hub(asked: Asked) -> Hub:
    return asked.hub(embedded=True, tasks=False)[0]


def _lacking(hub: Hub) -> str | None:
    with hub.engine.connect() as connection:
        lacking = migrations.behind(connection, hub.settings)
        has_kb = migrations.behind(connection, hub.settings, branch="kb") is None
    if lacking is None and has_kb:
        import taskhub.app

        taskhub.app.build()  # its models register themselves
        if found := migrations.differences(hub.engine, hub.settings):
            return f"models and database differ in {len(found)} places: {found[0]}"
    return lacking


@db.command(
    "downgrade",
    examples=("taskhub db downgrade kb@base --dry-run", "taskhub db downgrade kb@base --yes"),
)
@click.argument("revision")
@click.option("--dry-run", is_flag=True, help="Show which tables would go: do it and roll back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def downgrade(asked: Asked, revision: str, dry_run: bool, yes: bool) -> None:
    """Go back to a revision: tables, and all they hold, are dropped."""
    hub = _hub(asked)
    if not dry_run:
        confirm(f"drop what came after {revision}, with its data?", yes=yes)
    report = migrations.downgrade(hub.engine, hub.settings, revision, dry_run=dry_run)
    hub.close()
    told = {
        "before": list(report.before),
        "after": list(report.after),
        "dropped": list(report.dropped),
        "dry_run": dry_run,
    }
    write_object(asked, told, key="after")


@db.command("url", examples=("taskhub db url",))
@click.pass_obj
def url(asked: Asked) -> None:
    """Print the database's url; the embedded Postgres is started if it is meant."""
    click.echo(addresses.conninfo(_hub(asked).url))


@db.command("psql", examples=("taskhub db psql", "taskhub db psql -- -c 'SELECT 1'"))
@click.argument("arguments", nargs=-1)
@click.pass_obj
def psql(asked: Asked, arguments: tuple[str, ...]) -> None:
    """Open psql on the database."""
    where = _hub(asked).url
    try:
        program: str | None = str(embedded.bin_dir() / "psql")
    except embedded.NoEmbeddedPostgres:
        program = shutil.which("psql")
    if program is None:
        raise Failed("psql was not found; install postgresql-client")
    if where.password:
        os.environ["PGPASSWORD"] = str(
            where.password
        )  # never on the command line, which `ps` shows
    address = addresses.conninfo(addresses.without_password(where))
    os.execv(program, [program, address, *arguments])  # noqa: S606 - psql takes over this process


@db.command("start", examples=("taskhub db start",))
@click.pass_obj
def start(asked: Asked) -> None:
    """Start the embedded Postgres and print its url."""
    click.echo(embedded.start(asked.settings()))


@db.command("stop", examples=("taskhub db stop",))
@click.pass_obj
def stop(asked: Asked) -> None:
    """Stop the embedded Postgres."""
    stopped = embedded.stop(asked.settings())
    say("the embedded Postgres is stopped" if stopped else "the embedded Postgres was not running")


@db.command("reset", examples=("taskhub db reset --dry-run", "taskhub db reset --yes"))
@click.option("--dry-run", is_flag=True, help="Say what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reset(asked: Asked, dry_run: bool, yes: bool) -> None:
    """Delete the embedded Postgres with all its data; other databases are never touched."""
    settings: Settings = asked.settings()
    home = embedded.home(settings)
    if dry_run:
        say(f"would delete {home}" if home.exists() else f"nothing to delete at {home}")
        return
    confirm(f"delete {home} with all its data?", yes=yes)
    embedded.reset(settings)
    say(f"deleted {home}")


for _verb in (backup, verify, restore):
    db.add_command(_verb)
