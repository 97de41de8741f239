"""A mail on its way through a real server, and every way that can fail."""

import socket
from collections.abc import Callable
from email.message import EmailMessage

import pytest

from taskhub.mail.compose import compose
from taskhub.mail.render import Rendered
from taskhub.mail.senders import sender
from taskhub.mail.senders.refusals import PermanentRefusal, TransientRefusal
from taskhub.mail.senders.smtp import SmtpSender
from taskhub.settings import BadSetting, Settings
from tests.mail.server import Server

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


def test_both_parts_and_all_headers_arrive(smtp: Server) -> None:
    SmtpSender(smtp.settings()).send(message(subject="重置您的密码"))

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

    SmtpSender(server.settings()).send(message())

    assert len(server.mails) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_server_with_an_unknown_certificate_gets_nothing(
    serve: Callable[..., Server], security: str
) -> None:
    server = serve(security=security)

    with pytest.raises(TransientRefusal, match=r"(?i)certificate"):
        SmtpSender(server.settings(smtp_ca_file=None)).send(message())

    assert server.mails == []


def test_a_server_without_starttls_gets_nothing_in_clear(smtp: Server) -> None:
    with pytest.raises(PermanentRefusal, match="the server cannot do what the mail needs"):
        SmtpSender(smtp.settings(smtp_security="starttls")).send(message())

    assert smtp.mails == []


@login_without_starttls
def test_a_wrong_password_is_permanent(serve: Callable[..., Server]) -> None:
    server = serve(login=("taskhub", "right"))
    settings = server.settings(smtp_password="wrong")  # noqa: S106 - the wrong one

    with pytest.raises(PermanentRefusal, match="the server answered 535"):
        SmtpSender(settings).send(message())


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
def test_a_5xx_answer_is_permanent(serve: Callable[..., Server], step: str) -> None:
    server = serve(**{step: "550 no such person here"})

    with pytest.raises(PermanentRefusal, match="the server answered 550 no such person here"):
        SmtpSender(server.settings()).send(message())


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
def test_a_4xx_answer_is_transient_and_leaves_no_doubt(
    serve: Callable[..., Server], step: str
) -> None:
    server = serve(**{step: "451 come back later"})

    with pytest.raises(
        TransientRefusal, match="the server answered 451 come back later"
    ) as refusal:
        SmtpSender(server.settings()).send(message())

    assert not refusal.value.doubtful


def test_nobody_listening_is_transient_and_leaves_no_doubt() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        settings = Settings(smtp_port=taken.getsockname()[1])

        with pytest.raises(TransientRefusal, match="the server was lost") as refusal:
            SmtpSender(settings).send(message())

    assert not refusal.value.doubtful


@pytest.mark.parametrize("fault", ["hang up", "silence"])
def test_a_missing_answer_is_transient_and_leaves_a_doubt(
    serve: Callable[..., Server], fault: str
) -> None:
    server = serve(DATA=fault)

    with pytest.raises(TransientRefusal, match="the server was lost") as refusal:
        SmtpSender(server.settings(smtp_timeout_seconds=0.5)).send(message())

    assert refusal.value.doubtful


def test_a_chinese_domain_is_written_in_ascii(smtp: Server) -> None:
    SmtpSender(smtp.settings()).send(message("mei@例子.中国"))

    assert smtp.envelopes[0].rcpt_tos == ["mei@xn--fsqu00a.xn--fiqs8s"]


def test_a_chinese_address_arrives_as_it_is(smtp: Server) -> None:
    SmtpSender(smtp.settings()).send(message("用户@例子.中国"))

    assert smtp.envelopes[0].rcpt_tos == ["用户@例子.中国"]


def test_a_line_of_a_single_dot_does_not_end_the_mail(smtp: Server) -> None:
    mail = compose(
        Rendered("Dots", "first\n.\nMAIL FROM:<evil@example.com>\n", "<p>.</p>"),
        sender=("Handbook", "kb@example.com"),
        recipient=("Mei", "mei@example.com"),
        message_id="<1@example.com>",
    )

    SmtpSender(smtp.settings()).send(mail)

    [arrived] = smtp.mails
    text = arrived.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == ["first", ".", "MAIL FROM:<evil@example.com>"]


def test_an_unknown_way_out_is_named() -> None:
    with pytest.raises(BadSetting, match="mail_sender must be smtp or directory, got 'pigeon'"):
        sender(Settings(mail_sender="pigeon"))
