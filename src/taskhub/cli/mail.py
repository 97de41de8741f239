"""`taskhub mail`: what mails look like, whether they leave, and what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from taskhub.cli.audit import bulk, noted
from taskhub.cli.errors import Failed
from taskhub.cli.options import Asked, Verbs, confirm, say
from taskhub.cli.output import Column, ago, write_object, write_rows
from taskhub.settings import Settings

if TYPE_CHECKING:
    from email.message import EmailMessage

STATES = ("waiting", "sending", "sent", "refused", "dropped")
COLUMNS = (
    Column("id", right=True),
    Column("kind"),
    Column("shown", "state"),
    Column("recipient"),
    Column("created_at", "asked", show=ago),
    Column("job_id", "job", right=True),
    Column("error", wide=True),
)


@click.group(
    "mail",
    cls=Verbs,
    examples=("taskhub mail preview reset_password --language zh-Hans", "taskhub mail ls"),
)
def mail() -> None:
    """Mails: how they look, whether they leave, what became of each."""


@mail.command(
    "preview",
    examples=(
        "taskhub mail preview reset_password",
        "taskhub mail preview invite_member --language zh-Hans --html",
    ),
)
@click.argument("kind")
@click.option("--language", default="en-US", show_default=True, help="en-US or zh-Hans.")
@click.option("--html/--text", "is_html", default=False, help="Which part. [default: --text]")
@click.pass_obj
def preview(asked: Asked, kind: str, language: str, is_html: bool) -> None:
    """Print a mail with the brand of the settings and made-up values; needs no database."""
    from taskhub.mail.kinds import KINDS, sample
    from taskhub.mail.render import Brand, render

    if kind not in KINDS:
        raise Failed(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    settings = asked.settings()
    written = render(kind, language, Brand.of(settings), **sample(kind, settings.mail_link_base))
    if is_html:
        click.echo(written.html)
    else:
        click.echo(f"Subject: {written.subject}\n\n{written.text}", nl=False)


@mail.command("test", examples=("taskhub mail test me@example.com",))
@click.argument("to")
@click.pass_obj
def test(asked: Asked, to: str) -> None:
    """Send one mail now, past the queue, and print what the server says to it."""
    from taskhub.accounts.people import BadAccount, checked_address
    from taskhub.mail.senders import sender

    settings = asked.settings()
    try:
        address = checked_address(to)
    except BadAccount as error:
        raise Failed(str(error)) from error
    with sender(settings).line() as line:
        [answer] = line.send([_example(settings, address)])
    if answer is not None:
        raise Failed(f"{_way(settings)}: {answer}")
    say(f"taken by {_way(settings)}")
    write_object(asked, {"recipient": address, "taken_by": _way(settings)}, key="recipient")


def _example(settings: Settings, address: str) -> EmailMessage:
    from taskhub.mail.compose import compose, domain
    from taskhub.mail.outbox import identity
    from taskhub.mail.render import Brand, render

    words = ["Hello,", f"{settings.mail_brand} can send mails through {_way(settings)}."]
    rendered = render(
        "custom", "en-US", Brand.of(settings), subject="Test mail", paragraphs=words,
        name="", address=address,
    )  # fmt: skip
    _, message_id = identity(domain(settings.mail_from))
    return compose(
        rendered,
        sender=(settings.mail_brand, settings.mail_from),
        recipient=("", address),
        message_id=message_id,
    )


def _way(settings: Settings) -> str:
    if settings.mail_sender == "directory":
        return str(settings.mail_directory)
    return f"{settings.smtp_host}:{settings.smtp_port} ({settings.smtp_security})"


@mail.command("ls", examples=("taskhub mail ls --state refused", "taskhub mail ls --doubtful"))
@click.option("--state", type=click.Choice(STATES))
@click.option("--doubtful", is_flag=True, help="Those that may have come twice, or not at all.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@click.pass_obj
def ls(asked: Asked, state: str | None, doubtful: bool, limit: int) -> None:
    """The newest mails of the outbox, and what became of each."""
    from taskhub.mail.listing import listing

    hub, _ = asked.hub()
    with hub.transaction() as session:
        rows = listing(session, hub.settings, state=state, doubtful=doubtful, limit=limit)
    write_rows(asked, rows, COLUMNS)


@mail.command("show", examples=("taskhub mail show 7",))
@click.argument("mail_id", type=int)
@click.pass_obj
def show(asked: Asked, mail_id: int) -> None:
    """One mail of the outbox, with its Message-ID and its times; bodies are not kept."""
    from taskhub.mail.listing import UnknownMail, one

    hub, _ = asked.hub()
    try:
        with hub.transaction() as session:
            found = one(session, hub.settings, mail_id)
    except UnknownMail as error:
        raise Failed(str(error)) from error
    write_object(asked, found)


@mail.command("resend", examples=("taskhub mail resend 7", "taskhub mail resend 7 --again"))
@click.argument("mail_id", type=int)
@click.option("--again", is_flag=True, help="Also one that was sent, as a new mail.")
@bulk
@click.pass_obj
def resend(asked: Asked, mail_id: int, again: bool, dry_run: bool, yes: bool, reason: str) -> None:
    """Have a mail sent that was refused, dropped or given up; prints the job.

    With --again somebody gets it twice, so it asks.
    """
    from taskhub.mail import ways_in
    from taskhub.mail.listing import UnknownMail, one
    from taskhub.mail.ways_in.resend import CannotResend

    hub, _ = asked.hub()
    try:
        with hub.transaction() as session:
            found = one(session, hub.settings, mail_id)
        if dry_run:
            write_object(asked, found)
            return
        confirm(f"send mail {mail_id} again to {found.recipient}?", yes=yes or not again)
        with noted(hub, "mail resend", {"id": mail_id, "again": again}, reason):
            job_id = ways_in.resend(hub, mail_id, again=again)
    except UnknownMail as error:
        raise Failed(str(error)) from error
    except CannotResend as error:
        raise Failed(str(error)) from error
    write_object(asked, {"job_id": job_id, "mail_id": mail_id}, key="job_id")
