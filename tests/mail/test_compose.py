"""Headers that nobody can add to."""

import email
import email.policy

import pytest

from taskhub.mail.compose import compose, domain
from taskhub.mail.render import Rendered

BODY = Rendered("Hello", "text\n", "<p>HTML</p>")


@pytest.mark.parametrize(
    "name", ["Mei\r\nBcc: all@example.com", "Mei\nBcc: x@y.z", "Mei\x00\u2028Bcc"]
)
def test_a_line_break_in_a_name_adds_no_header(name: str) -> None:
    message = compose(
        BODY, sender=("K", "k@example.com"), recipient=(name, "m@example.com"), message_id="<1@x.y>"
    )

    arrived = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    assert arrived["Bcc"] is None
    assert [a.addr_spec for a in arrived["To"].addresses] == ["m@example.com"]
    assert arrived["To"].addresses[0].display_name.startswith("Mei")


def test_a_name_cannot_add_a_recipient() -> None:
    message = compose(
        BODY,
        sender=("K", "k@example.com"),
        recipient=('Mei" <evil@example.com>, "x', "m@example.com"),
        message_id="<1@x.y>",
    )

    arrived = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    assert [a.addr_spec for a in arrived["To"].addresses] == ["m@example.com"]


def test_a_line_break_in_a_subject_adds_no_header() -> None:
    message = compose(
        Rendered("Hello\r\nBcc: all@example.com", "text", "<p>HTML</p>"),
        sender=("K", "k@example.com"),
        recipient=("M", "m@example.com"),
        message_id="<1@x.y>",
    )

    assert message["Bcc"] is None
    assert message["Subject"] == "Hello Bcc: all@example.com"


def test_a_line_break_in_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot contain CR or LF"):
        compose(
            BODY,
            sender=("K", "k@example.com"),
            recipient=("M", "m@example.com\r\nBcc: all@example.com"),
            message_id="<1@x.y>",
        )


def test_a_line_break_in_a_message_id_is_refused() -> None:
    with pytest.raises(ValueError, match="linefeed"):
        compose(
            BODY,
            sender=("K", "k@example.com"),
            recipient=("M", "m@example.com"),
            message_id="<1@x.y>\r\nBcc: all@example.com",
        )


def test_the_domain_of_an_address_is_ascii() -> None:
    assert domain("kb@Example.com") == "Example.com"
    assert domain("kb@例子.中国") == "xn--fsqu00a.xn--fiqs8s"
