"""Somebody's own words: sandboxed, each recipient by itself."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select, text

from taskhub import Hub, app, settings
from taskhub.mail import ways_in
from taskhub.mail.custom import BadBody, MailBody
from taskhub.mail.outbox import State
from tests.mail.office import mails, work
from tests.mail.server import Server

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}x"


@pytest.fixture
def hub(database: str, smtp: Server) -> Iterator[Hub]:
    """The built-in hub, as a worker has it: words are written in a child process, which imports it."""
    given = {
        "database_url": database,
        "smtp_port": str(smtp.settings().smtp_port),
        "mail_from": "kb@example.com",
        "poll_seconds": "0.2",
        "process_children": "1",
        "timeout_grace_seconds": "1",
    }
    made, _ = app.find(settings.load(given))
    yield made
    made.close()


def test_everybody_gets_their_own_words(hub: Hub, smtp: Server) -> None:
    bad = ways_in.send_custom(
        hub,
        {"mei@example.com": {"n": 3}, "ben@example.com": {"n": 1}, "no address": {}},
        "{{ n }} documents",
        "Hello,\n\nyou have {{ n }} <b>new</b> documents.\r\n\r\nBye",
    )
    work(hub)

    assert bad == ["no address"]
    told = {str(mail["To"]): str(mail["Subject"]) for mail in smtp.mails}
    assert told == {"mei@example.com": "3 documents", "ben@example.com": "1 documents"}
    html = smtp.mails[0].get_body(("html",))
    assert html is not None
    assert "&lt;b&gt;new&lt;/b&gt;" in html.get_content()
    with hub.transaction() as session:
        assert session.scalars(select(MailBody.id)).all() == []


def test_a_recipient_whose_values_do_not_fit_stops_no_other(hub: Hub, smtp: Server) -> None:
    ways_in.send_custom(
        hub, {"a@example.com": {}, "b@example.com": {"n": 0}, "c@example.com": {"n": 2}},
        "News", "{{ 10 // n }}",
    )  # fmt: skip
    work(hub)

    assert [str(mail["To"]) for mail in smtp.mails] == ["c@example.com"]
    kept = {mail.recipient: (mail.state, mail.error) for mail in mails(hub)}
    assert kept["a@example.com"][0] is State.refused
    assert "'n' is undefined" in (kept["a@example.com"][1] or "")
    assert "ZeroDivisionError" in (kept["b@example.com"][1] or "")


ATTACKS = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.environ }}",
    "{{ people.append(1) }}",
    "{% include '/etc/passwd' %}",
]


def test_words_reach_nothing_but_their_values(hub: Hub, smtp: Server) -> None:
    for attack in ATTACKS:
        ways_in.send_custom(hub, ["mei@example.com"], "News", attack, values={"people": []})
    work(hub)  # all in one child

    assert smtp.mails == []
    assert [mail.state for mail in mails(hub)] == [State.refused] * len(ATTACKS)


def test_words_that_never_end_are_stopped_after_three_seconds_of_work(
    hub: Hub, smtp: Server
) -> None:
    ways_in.send_custom(hub, ["mei@example.com"], "News", ENDLESS)

    work(hub)

    with hub.transaction() as session:
        failed = session.execute(
            text("SELECT task_name, outcome::text, error_class FROM taskhub.attempts")
        ).all()
    assert failed == [("mail_custom_body", "failed", "taskhub.queue.execution.CpuLimit")]
    assert smtp.mails == []
    ways_in.send_custom(hub, ["mei@example.com"], "News", "fine")
    work(hub)
    assert len(smtp.mails) == 1


@pytest.mark.parametrize(
    ("subject", "body", "why"),
    [
        ("News", "{{ name", "body must be a template, line 1"),
        ("{% if %}", "x", "subject must be a template"),
        ("News", "{{ a }}\n{% bad %}", "body must be a template, line 2"),
        ("News", "  ", "must not be empty"),
        ("News", "x" * 60_000, "50000 characters at most"),
    ],
)
def test_what_is_no_template_is_refused_at_once(
    hub: Hub, subject: str, body: str, why: str
) -> None:
    with pytest.raises(BadBody, match=why):
        ways_in.send_custom(hub, ["mei@example.com"], subject, body)

    with hub.transaction() as session:
        assert session.scalars(select(MailBody.id)).all() == []
