"""Chapters on mail: it commits with its account, rolls back with it, fails for good and comes back."""

from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from taskhub.accounts import codes, people
from taskhub.accounts.codes import Purpose
from taskhub.accounts.models import Account
from taskhub.demo.postbox import Postbox
from taskhub.demo.stage import DemoBroken, Stage
from taskhub.mail.post import post_code
from taskhub.queue import Job, Status


class Interrupted(RuntimeError):
    """What the demo raises in the middle of a transaction."""


def committed_and_rolled_back(stage: Stage, postbox: Postbox, mark: str) -> dict[str, Any]:
    """An account and its mail in one transaction; then the same, rolled back."""
    screen = stage.screen
    screen.heading(3, "A mail commits with its account")
    ada = f"ada-{mark}@example.com"
    _register(stage, ada, "Ada Lovelace")
    stage.until(lambda: bool(postbox.sent_to(ada)), "the mail")
    mail = postbox.sent_to(ada)[0]
    screen.line(f"  From: {mail['From']}\n  To: {mail['To']}\n  Subject: {mail['Subject']}")
    body = mail.get_body(("plain",))
    for line in (body.get_content() if body is not None else "").strip().splitlines()[:6]:
        screen.line(f"  | {line}")
    screen.good("account, code and job were committed together, and the mail arrived")

    ben = f"ben-{mark}@example.com"
    before = _highest_job(stage)
    try:
        with stage.hub.transaction() as session:
            job = _account_with_mail(stage, session, ben, "Ben Babbage")
            raise Interrupted
    except Interrupted:
        screen.line(
            f"  the same for {ben}, and the transaction fails after job {job.id} was deferred"
        )
    left = {
        "accounts": _accounts(stage, ben),
        "jobs": _jobs_above(stage, before),
        "mails": len(postbox.sent_to(ben)),
    }
    if any(left.values()):
        raise DemoBroken(f"the rolled-back transaction left {left}")
    screen.good("rolled back: no account, no job, no mail")
    return {"rolled_back": left}


def failed_and_brought_back(stage: Stage, postbox: Postbox, mark: str) -> dict[str, Any]:
    """A mail that the server refuses for good, then `taskhub retry-failed`."""
    screen = stage.screen
    screen.heading(4, "A job fails for good, and is brought back")
    mei = f"mei-{mark}@example.com"
    postbox.refuses = True
    job = _register(stage, mei, "陈美", "zh-Hans")
    if stage.finish(job) is not Status.FAILED:
        raise DemoBroken(f"job {job.id} should have failed")
    why = job.attempts()[-1].error_message
    screen.line(f"  job {job.id} is {job.status().value}: {why}")

    postbox.refuses = False
    screen.line("  the mail server is mended")
    stage.run("retry-failed", "--queue", "mail", "--since", "1h", "--yes")
    if stage.finish(job) is not Status.SUCCEEDED:
        raise DemoBroken(f"job {job.id} should have succeeded")
    mail = postbox.sent_to(mei)[0]
    screen.line(f"  To: {mail['To']}\n  Subject: {mail['Subject']}")
    screen.good(f"job {job.id} is {job.status().value}, after {len(job.attempts())} attempts")
    return {"jobs_retried": 1, "retried_job": job.id}


def _register(stage: Stage, email: str, name: str, language: str = "en-US") -> Job[str]:
    with stage.hub.transaction() as session:
        return _account_with_mail(stage, session, email, name, language)


def _account_with_mail(
    stage: Stage, session: Session, email: str, name: str, language: str = "en-US"
) -> Job[str]:
    account = people.create(session, email, name, language)
    code = codes.issue(session, account, Purpose.verify_email, 30)
    mail = post_code(session, stage.hub.settings, account, code)
    return Job(mail.job_id or 0, f"mail_{mail.kind}", stage.hub)


def _accounts(stage: Stage, email: str) -> int:
    with stage.hub.transaction() as session:
        found = select(func.count()).select_from(Account).where(Account.email == email)
        return int(session.scalar(found) or 0)


def _highest_job(stage: Stage) -> int:
    with stage.hub.engine.connect() as connection:
        schema = stage.hub.settings.schema
        query = f"SELECT last_value FROM {schema}.procrastinate_jobs_id_seq"  # noqa: S608 - checked by Settings
        return int(connection.scalar(text(query)) or 0)


def _jobs_above(stage: Stage, job_id: int) -> int:
    with stage.hub.engine.connect() as connection:
        schema = stage.hub.settings.schema
        query = f"""
            SELECT (SELECT count(*) FROM {schema}.procrastinate_jobs WHERE id > :id)
                 + (SELECT count(*) FROM {schema}.attempts WHERE job_id > :id)
        """  # noqa: S608 - checked by Settings
        return int(connection.scalar(text(query), {"id": job_id}) or 0)
