"""The outbox as people look at it, page by page."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from taskhub.mail.listing import listing
from taskhub.mail.outbox import State
from taskhub.settings import Settings
from tests.mail.test_outbox import add, row


def mails(session: Session, number: int) -> list[int]:
    made = [add(session) for _ in range(number)]
    for mail_id in made[::2]:
        row(session, mail_id).state = State.refused
    session.flush()
    return made


@pytest.mark.parametrize(("state", "wanted"), [(None, 7), ("refused", 4)])
def test_pages_hold_each_mail_once_and_the_newest_first(
    session: Session, state: str | None, wanted: int
) -> None:
    made = mails(session, 7)

    pages: list[list[int]] = []
    before_id = None
    while len(pages) < 10:
        found = listing(session, Settings(), state=state, before_id=before_id, limit=3)
        if not found:
            break
        pages.append([mail.id for mail in found])
        before_id = pages[-1][-1]

    met = [mail_id for page in pages for mail_id in page]
    assert met == sorted(made if state is None else made[::2], reverse=True)
    assert len(met) == wanted


@pytest.mark.parametrize(
    ("where", "index"),
    [
        (
            "m.state = CAST('refused' AS taskhub_kb.mail_state) ORDER BY m.created_at DESC, m.id DESC",
            "ix_mail_outbox_state_created_at",
        ),
        (
            "TRUE AND (m.doubtful_at IS NOT NULL OR m.state = 'sending') ORDER BY m.id DESC",
            "ix_mail_outbox_doubtful",
        ),
    ],
)
def test_rare_mails_are_found_by_an_index(session: Session, where: str, index: str) -> None:
    mails(session, 3)
    session.execute(text("SET LOCAL enable_seqscan = off"))

    query = f"EXPLAIN SELECT m.id FROM taskhub_kb.mail_outbox AS m WHERE {where} LIMIT 3"
    plan = session.execute(text(query)).scalars()

    assert any(index in line for line in plan)
