"""Mails whose words come from outside: written in a sandbox, in a process that can be stopped."""

from datetime import datetime
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sqlalchemy import BigInteger, DateTime, Identity, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from taskhub.db import Base
from taskhub.mail.blueprint import mail
from taskhub.mail.outbox import MAX_ERROR_CHARACTERS
from taskhub.mail.post import post, refuse
from taskhub.queue import Backoff, Context
from taskhub.queue.execution import CpuLimit, MemoryLimit, TaskTimeout
from taskhub.settings import Settings

MAX_BODY_CHARACTERS = 50_000
MAX_RENDERED_CHARACTERS = 200_000
# A template that counts to a billion is stopped; a busy machine alone does not stop one that is fine.
CPU_SECONDS = 3
POST_RECIPIENTS = 100


class BadBody(ValueError):
    """A subject or body cannot be used as a template; the message says where."""


class MailBody(Base):
    """Words that are to be mailed to `recipients`, pairs of address and values; gone when all are posted."""

    __tablename__ = "mail_bodies"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    subject: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text)
    recipients: Mapped[list[Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    posted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


def check(subject: str, body: str) -> None:
    """Refuse what is no template, before anything is stored.

    Raises:
        BadBody: it says what is wrong, and in which line.
    """
    if not subject.strip() or not body.strip():
        raise BadBody("subject and body must not be empty")
    if len(subject) + len(body) > MAX_BODY_CHARACTERS:
        raise BadBody(
            f"subject and body must be {MAX_BODY_CHARACTERS} characters at most, "
            f"got {len(subject) + len(body)}"
        )
    for what, source in (("subject", subject), ("body", body)):
        try:
            _sandbox().parse(source)
        except TemplateError as error:
            line = getattr(error, "lineno", 1)
            raise BadBody(f"{what} must be a template, line {line}: {error}") from error


@mail.task(
    name="mail_custom_body",
    queue="mail",
    executor="process",
    cpu_seconds=CPU_SECONDS,
    memory_mb=256,
    timeout=60,
    retry=Backoff(max_attempts=3, never_on=(CpuLimit, MemoryLimit, TaskTimeout)),
)
def mail_custom_body(ctx: Context, body_id: int) -> dict[str, int]:
    """Write a custom mail for each of its recipients and post it; one that fails stops no other."""
    told = {"posted": 0, "refused": 0}
    while True:
        with ctx.hub.transaction() as session:
            waiting = session.get(MailBody, body_id, with_for_update=True)
            if waiting is None:
                return told
            some, rest = (
                waiting.recipients[:POST_RECIPIENTS],
                waiting.recipients[POST_RECIPIENTS:],
            )
            for address, values in some:
                is_good = _post(session, ctx.hub.settings, waiting, address, values)
                told["posted" if is_good else "refused"] += 1
            waiting.recipients = rest
            if not rest:
                session.delete(waiting)


def _post(
    session: Session, settings: Settings, body: MailBody, address: str, values: dict[str, Any]
) -> bool:
    try:
        subject, words = _written(body, values)
    except Exception as error:  # noqa: BLE001 - a stranger's template may raise anything
        why = f"it cannot be written: {type(error).__name__}: {error}"
        refuse(
            session, settings, "custom", address,
            why=why[:MAX_ERROR_CHARACTERS], language=body.language,
        )  # fmt: skip
        return False
    paragraphs = [p.strip("\n") for p in words.replace("\r\n", "\n").split("\n\n") if p.strip()]
    post(
        session, settings, "custom", address, language=body.language,
        subject=subject, paragraphs=paragraphs,
    )  # fmt: skip
    return True


def _written(body: MailBody, values: dict[str, Any]) -> tuple[str, str]:
    sandbox = _sandbox()
    subject = " ".join(sandbox.from_string(body.subject).render(values).split())
    words = sandbox.from_string(body.body).render(values)
    if not subject or not words.strip():
        raise BadBody("nothing is left of the subject or the body")
    if len(subject) + len(words) > MAX_RENDERED_CHARACTERS:
        raise BadBody(f"it is longer than {MAX_RENDERED_CHARACTERS} characters")
    return subject, words


def _sandbox() -> ImmutableSandboxedEnvironment:
    # Plain text: it is escaped where it is put into the HTML part.
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
