"""A mail on its way through a real server, and every way that can fail."""

import socket
import time
from collections.abc import Callable
from email.message import EmailMessage

import pytest

from taskhub.mail.compose import compose
from taskhub.mail.render import Rendered
from taskhub.mail.senders import sender
from taskhub.mail.senders import smtp as smtp_lines
from taskhub.mail.senders.refusals import Answer, PermanentRefusal, TransientRefusal, Unreachable
from taskhub.mail.senders.smtp import SmtpSender
from taskhub.settings import BadSetting, Settings
from tests.mail.server import Server
from tests.waiting import until

# aiosmtpd warns where a login needs no STARTTLS. It is meant: the one server is plain, on loopback,
# the other has TLS from the first byte, which aiosmtpd does not count.
login_without_starttls = pytest.mark.filterwarnings(
    "ignore:Requiring AUTH while not requiring TLS:UserWarning"
)


def message(address: str = "mei@example.com", subject: str = "Hello") -> EmailMessage:
    return compose(
        Rendered(subject, "text of the mail\n", "<p>HTML of the mail</p>"),
        sender=("Handbook", "kb@example.com"),
        recipient=("Mei", address),
        message_id="<1@example.com>",
    )


def send(settings: Settings, *messages: EmailMessage) -> list[Answer]:
    with SmtpSender(settings).line() as line:
        return line.send(messages or [message()])


def test_both_parts_and_all_headers_arrive(smtp: Server) -> None:
    assert send(smtp.settings(), message(subject="重置您的密码")) == [None]

    [mail] = smtp.mails
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail["Subject"] == "重置您的密码"
    assert mail["From"] == "Handbook <kb@example.com>"
    assert mail["To"] == "Mei <mei@example.com>"
    assert mail["Message-ID"] == "<1@example.com>"
    assert mail["Date"].datetime.utcoffset() is not None
    assert smtp.envelopes[0].mail_from == "kb@example.com"
    assert smtp.envelopes[0].rcpt_tos == ["mei@example.com"]


@login_without_starttls
@pytest.mark.parametrize("security", ["plain", "starttls", "tls"])
def test_a_mail_is_taken_after_a_login(serve: Callable[..., Server], security: str) -> None:
    server = serve(security=security, login=("taskhub", "秘密 secret"))

    assert send(server.settings()) == [None]

    assert len(server.mails) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_server_with_an_unknown_certificate_gets_nothing(
    serve: Callable[..., Server], security: str
) -> None:
    server = serve(security=security)

    [answer] = send(server.settings(smtp_ca_file=None))

    assert isinstance(answer, Unreachable)
    assert "certificate" in str(answer).lower()

    assert server.mails == []


def test_a_server_without_starttls_gets_nothing_in_clear(smtp: Server) -> None:
    [answer] = send(smtp.settings(smtp_security="starttls"))

    assert isinstance(answer, Unreachable)
    assert "the server cannot be used" in str(answer)

    assert smtp.mails == []


@login_without_starttls
def test_a_wrong_password_says_nothing_against_the_mail(serve: Callable[..., Server]) -> None:
    server = serve(login=("taskhub", "right"))
    settings = server.settings(smtp_password="wrong")  # noqa: S106 - the wrong one

    [answer] = send(settings)

    assert isinstance(answer, Unreachable)
    assert "it answered 535" in str(answer)


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
def test_a_5xx_answer_is_permanent(serve: Callable[..., Server], step: str) -> None:
    server = serve(**{step: "550 no such person here"})

    [answer] = send(server.settings())

    assert isinstance(answer, PermanentRefusal)
    assert str(answer) == "the server answered 550 no such person here"


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
def test_a_4xx_answer_is_transient_and_leaves_no_doubt(
    serve: Callable[..., Server], step: str
) -> None:
    server = serve(**{step: "451 come back later"})

    [answer] = send(server.settings())

    assert isinstance(answer, TransientRefusal)
    assert str(answer) == "the server answered 451 come back later"
    assert not answer.doubtful


def test_nobody_listening_is_transient_and_leaves_no_doubt() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        settings = Settings(smtp_port=taken.getsockname()[1])

        answers = send(settings, message(), message())

    assert [type(answer) for answer in answers] == [Unreachable, Unreachable]


@pytest.mark.parametrize("fault", ["hang up", "silence"])
def test_a_missing_answer_is_transient_and_leaves_a_doubt(
    serve: Callable[..., Server], fault: str
) -> None:
    server = serve(DATA=fault)

    [answer] = send(server.settings(smtp_timeout_seconds=0.5))

    assert isinstance(answer, TransientRefusal)
    assert answer.doubtful
    assert "the server was lost" in str(answer)


def test_many_mails_go_on_one_connection(smtp: Server) -> None:
    assert send(smtp.settings(), *[message(f"{n}@example.com") for n in range(5)]) == [None] * 5
    assert send(smtp.settings(), message()) == [None]

    assert len(smtp.mails) == 6
    assert smtp.connections == 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(smtp: Server) -> None:
    settings = smtp.settings(smtp_idle_seconds=0.001)

    assert send(settings) == [None]
    until(lambda: _is_old(settings), "the end of a millisecond")
    assert send(settings) == [None]

    assert smtp.connections == 2


def _is_old(settings: Settings) -> bool:
    [line] = smtp_lines._IDLE._lines
    return time.monotonic() - line.used_at > settings.smtp_idle_seconds


def test_a_refused_mail_does_no_harm_to_those_behind_it(smtp: Server) -> None:
    smtp.refuses["bad@example.com"] = "550 no such person here"
    smtp.refuses["full@example.com"] = "452 mailbox full"
    names = ("one", "bad", "two", "full", "three")

    answers = send(smtp.settings(), *[message(f"{name}@example.com") for name in names])

    kinds = [type(answer) for answer in answers]
    nothing = type(None)
    assert kinds == [nothing, PermanentRefusal, nothing, TransientRefusal, nothing]
    assert [envelope.rcpt_tos for envelope in smtp.envelopes] == [
        ["one@example.com"],
        ["two@example.com"],
        ["three@example.com"],
    ]
    assert smtp.connections == 1


def test_a_server_that_says_good_bye_is_called_again_for_the_next_mail(smtp: Server) -> None:
    smtp.refuses["bad@example.com"] = "421 closing"

    answers = send(smtp.settings(), message("bad@example.com"), message("good@example.com"))

    assert isinstance(answers[0], TransientRefusal)
    assert not answers[0].doubtful
    assert answers[1] is None
    assert smtp.connections == 2


def test_a_mail_behind_one_that_cost_the_connection_is_sent_on_another(smtp: Server) -> None:
    smtp.refuses["bad@example.com"] = "hang up"

    answers = send(smtp.settings(), message("bad@example.com"), message("good@example.com"))

    assert isinstance(answers[0], TransientRefusal)
    assert answers[0].doubtful
    assert answers[1] is None


def test_a_server_that_is_lost_twice_in_a_row_is_not_asked_for_the_rest(
    serve: Callable[..., Server],
) -> None:
    server = serve(DATA="hang up")

    answers = send(server.settings(), *[message(f"m{n}@example.com") for n in range(5)])

    assert [type(answer) for answer in answers] == [TransientRefusal] * 2 + [Unreachable] * 3
    assert server.connections == 2


def test_a_chinese_domain_is_written_in_ascii(smtp: Server) -> None:
    send(smtp.settings(), message("mei@例子.中国"))

    assert smtp.envelopes[0].rcpt_tos == ["mei@xn--fsqu00a.xn--fiqs8s"]


def test_a_chinese_address_arrives_as_it_is(smtp: Server) -> None:
    send(smtp.settings(), message("用户@例子.中国"))

    assert smtp.envelopes[0].rcpt_tos == ["用户@例子.中国"]


def test_a_line_of_a_single_dot_does_not_end_the_mail(smtp: Server) -> None:
    mail = compose(
        Rendered("Dots", "first\n.\nMAIL FROM:<evil@example.com>\n", "<p>.</p>"),
        sender=("Handbook", "kb@example.com"),
        recipient=("Mei", "mei@example.com"),
        message_id="<1@example.com>",
    )

    send(smtp.settings(), mail)

    [arrived] = smtp.mails
    text = arrived.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == ["first", ".", "MAIL FROM:<evil@example.com>"]


def test_an_unknown_way_out_is_named() -> None:
    with pytest.raises(BadSetting, match="mail_sender must be smtp or directory, got 'pigeon'"):
        sender(Settings(mail_sender="pigeon"))
