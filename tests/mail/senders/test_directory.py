"""Mails as files."""

import email
import email.policy
import stat
from pathlib import Path

import pytest

from taskhub.mail.compose import compose
from taskhub.mail.render import Rendered
from taskhub.mail.senders import sender
from taskhub.mail.senders.refusals import Unreachable
from taskhub.settings import BadSetting, Settings

MAIL = compose(
    Rendered("邮箱验证码", "text\n", "<p>HTML</p>"),
    sender=("Handbook", "kb@example.com"),
    recipient=("Mei", "mei@example.com"),
    message_id="<abc@example.com>",
)


def test_the_same_mail_sent_twice_is_one_file_for_its_owner_only(tmp_path: Path) -> None:
    outbox = tmp_path / "mails"
    way_out = sender(Settings(mail_sender="directory", mail_directory=outbox))

    with way_out.line() as line:
        assert line.send([MAIL, MAIL]) == [None, None]

    [file] = outbox.iterdir()
    assert file.name == "abc.eml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert kept["Subject"] == "邮箱验证码"


def test_a_folder_that_cannot_be_made_is_a_transient_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    way_out = sender(Settings(mail_sender="directory", mail_directory=tmp_path / "file" / "mails"))

    with way_out.line() as line:
        [answer] = line.send([MAIL])

    assert isinstance(answer, Unreachable)
    assert str(answer).startswith("the mail could not be written: ")


def test_a_directory_sender_without_a_directory_is_refused() -> None:
    with pytest.raises(BadSetting, match="mail_directory must be set"):
        sender(Settings(mail_sender="directory"))
