"""Mail outbox: what became of each mail, how it looks, and once more."""

import pytest
from sqlalchemy import text

from taskhub import Hub
from taskhub.mail import ways_in
from taskhub.queue import insight
from tests.dashboard.conftest import Browser
from tests.mail.office import mails


@pytest.fixture
def sent(family: Hub) -> int:
    """A mail that was sent."""
    [mail_id] = ways_in.send_notice(
        family, ["mei@example.com"], "News <script>", ["<img src=x onerror=alert(1)>"]
    )
    family.run_worker(queues=["mail"], wait=False)
    return mail_id


def test_a_mail_is_listed_by_its_state(reader: Browser, family: Hub, sent: int) -> None:
    everything = reader.get("/mail").text
    some = [f"/mail/{sent}" in reader.get(f"/mail?state={s}").text for s in ("sent", "refused")]

    assert "mei@example.com" in everything
    assert "News &lt;script&gt;" in everything
    assert some == [True, False]


def test_a_mail_is_seen_in_a_frame_that_can_do_nothing(reader: Browser, sent: int) -> None:
    page = reader.get(f"/mail/{sent}").text
    body = reader.get(f"/mail/{sent}/body")

    assert f'<iframe class="mail" sandbox title="How it looks" src="/mail/{sent}/body">' in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in body.text
    policy = body.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "sandbox" in policy
    assert body.headers["x-frame-options"] == "SAMEORIGIN"


def test_a_mail_is_sent_again_as_a_new_one(reader: Browser, family: Hub, sent: int) -> None:
    form = {"id": str(sent), "back": "/mail", "reason": "asked for"}
    refused = reader.follow(reader.act("/mail/resend", form, page="/mail")).text
    assert "0 of 1 mails are sent again." in refused
    assert f"mail {sent} was sent" in refused

    reader.act("/mail/resend", {**form, "again": "1"}, page="/mail")
    family.run_worker(queues=["mail"], wait=False)

    assert [mail.state for mail in mails(family)] == ["sent", "sent"]
    assert [row.outcome for row in insight.audit(family)] == ["done", "partly"]


def test_pages_of_mails_follow_each_other(reader: Browser, family: Hub) -> None:
    with family.engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO taskhub_kb.mail_outbox (key, message_id, kind, recipient, language)
                SELECT n::text, n::text, 'login', 'n' || n || '@example.com', 'en-US'
                FROM generate_series(1, 70) AS n
            """)
        )

    first = reader.get("/mail").text
    following = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = reader.get(following).text

    assert "n70@example.com" in first
    assert "n20@example.com" not in first
    assert "n20@example.com" in second
    assert 'rel="next"' not in second


def test_a_mail_that_is_not_there_is_told(browser: Browser) -> None:
    assert browser.get("/mail/7").status_code == 404
    assert browser.get("/mail/7/body").status_code == 404
