"""What people read."""

import pytest
from jinja2 import UndefinedError

from taskhub.mail.codes import Purpose
from taskhub.mail.render import UnknownKind, render

VALUES = {
    "name": "Mei",
    "code": "012345",
    "link": "https://kb.example/reset-password?account=1&token=abc",
    "minutes": 30,
    "brand": "Handbook",
    "home": "https://kb.example",
}
SUBJECTS = {
    ("verify_email", "en-US"): "Your Handbook verification code",
    ("verify_email", "zh-Hans"): "Handbook 邮箱验证码",
    ("reset_password", "en-US"): "Reset your Handbook password",
    ("reset_password", "zh-Hans"): "重置您的 Handbook 密码",
}


@pytest.mark.parametrize("language", ["en-US", "zh-Hans"])
@pytest.mark.parametrize("kind", list(Purpose))
def test_every_mail_has_both_parts_in_both_languages(kind: str, language: str) -> None:
    mail = render(kind, language, **VALUES)

    secret = "012345" if kind == Purpose.verify_email else "token=abc"
    assert mail.subject == SUBJECTS[kind, language]
    for part in (mail.text, mail.html):
        assert "Mei" in part
        assert secret in part
        assert "30" in part
        assert "Handbook" in part
        assert "https://kb.example" in part
        assert "{" not in part.partition("<style>")[0]
    assert f'<html lang="{language}">' in mail.html
    assert "<" not in mail.text


def test_styles_stand_at_the_elements_and_media_rules_stay() -> None:
    mail = render("verify_email", "en-US", **VALUES)

    assert '<p class="code" style="' in mail.html
    assert "@media (prefers-color-scheme: dark)" in mail.html


@pytest.mark.parametrize("language", ["fr", "", "en", "../en-US"])
def test_a_language_we_do_not_write_becomes_english(language: str) -> None:
    assert render("verify_email", language, **VALUES) == render("verify_email", "en-US", **VALUES)


@pytest.mark.parametrize("kind", list(Purpose))
def test_what_people_call_themselves_is_no_markup(kind: str) -> None:
    name = '<script>alert(1)</script> & "Mei" {{ code }}'

    mail = render(kind, "en-US", **VALUES | {"name": name})

    assert "<script>" not in mail.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; " in mail.html
    assert name in mail.text


def test_a_brand_of_two_lines_leaves_the_subject_one_line() -> None:
    mail = render("verify_email", "en-US", **VALUES | {"brand": "Hand\r\nBcc: all@example.com"})

    assert mail.subject == "Your Hand Bcc: all@example.com verification code"


def test_a_missing_value_is_an_error_not_a_gap() -> None:
    with pytest.raises(UndefinedError, match="'name' is undefined"):
        render("verify_email", "en-US", **{k: v for k, v in VALUES.items() if k != "name"})


def test_an_unknown_mail_is_named() -> None:
    with pytest.raises(UnknownKind, match="kind must be a mail with templates, got 'layout'"):
        render("layout", "en-US", **VALUES)
