"""What people read."""

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from taskhub.accounts.models import Language
from taskhub.mail import layout
from taskhub.mail.kinds import KINDS, sample
from taskhub.mail.render import Brand, UnknownKind, render
from taskhub.settings import BadSetting, Settings

BRAND = Brand(name="Handbook", home="https://kb.example", footer="Handbook Ltd, Berlin")
EVERY = [(kind, language) for kind in KINDS for language in Language]
TEMPLATES = Path(layout.__file__).with_name("templates")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def values(kind: str) -> dict[str, object]:
    return sample(kind, BRAND.home)


@pytest.mark.parametrize(("kind", "language"), EVERY)
def test_every_mail_has_a_subject_and_both_parts_in_both_languages(
    kind: str, language: str
) -> None:
    given = values(kind)

    mail = render(kind, language, BRAND, **given)

    assert mail.subject
    assert "\n" not in mail.subject
    for part in (mail.text, mail.html):
        assert "https://kb.example" in part
        assert "Handbook Ltd, Berlin" in part
        assert "{{" not in part
        assert "{%" not in part
        if KINDS[kind].purpose not in (None, "reset_password"):
            assert "012345" in part
        for line in given.get("lines", []):  # type: ignore[attr-defined]  # a sample's are texts
            assert line in part
    assert f'<html lang="{language}">' in mail.html
    assert "<" not in mail.text
    assert bool(CHINESE.search(mail.text)) is (language == Language.zh_hans)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind not in ("custom", "failure_digest")]
)
def test_a_subject_is_written_in_its_language(kind: str) -> None:
    english, chinese = (render(kind, each, BRAND, **values(kind)).subject for each in Language)

    assert not CHINESE.search(english)
    assert CHINESE.search(chinese)


def test_a_button_is_its_label_and_its_address_in_the_text() -> None:
    mail = render("account_not_found", "en-US", BRAND, **values("account_not_found"))

    assert "Sign up:\nhttps://kb.example/sign-up\n" in mail.text
    assert '<a class="button" href="https://kb.example/sign-up"' in mail.html


def test_styles_stand_at_the_elements_and_media_rules_stay() -> None:
    mail = render("verify_email", "en-US", BRAND, **values("verify_email"))

    assert '<p class="code" style="' in mail.html
    assert "@media (prefers-color-scheme: dark)" in mail.html


def test_a_brand_has_its_colour_and_its_logo() -> None:
    brand = Brand(name="Handbook", color="#aa1122", logo="https://kb.example/logo.png?a=1&b=2")

    mail = render("account_not_found", "en-US", brand, **values("account_not_found"))

    assert "background: #aa1122" in mail.html
    assert 'src="https://kb.example/logo.png?a=1&amp;b=2" ' in mail.html


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("mail_brand_color", "red; } body { display: none"),
        ("mail_brand_color", "#fff"),
        ("mail_logo_url", "javascript:alert(1)"),
    ],
)
def test_a_brand_that_could_be_more_than_a_brand_is_refused(setting: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"{setting} must"):
        Settings(**{setting: value})  # type: ignore[arg-type]  # it is one of these two


@pytest.mark.parametrize("language", ["fr", "", "en", "../en-US"])
def test_a_language_we_do_not_write_becomes_english(language: str) -> None:
    given = values("verify_email")

    assert render("verify_email", language, BRAND, **given) == render(
        "verify_email", "en-US", BRAND, **given
    )


NAMED = [
    kind
    for kind in KINDS
    if "Zoe" in render(kind, "en-US", BRAND, **values(kind) | {"name": "Zoe"}).text
]


@pytest.mark.parametrize("kind", NAMED)
def test_what_people_call_themselves_is_no_markup(kind: str) -> None:
    name = '<script>alert(1)</script> & "Mei" {{ code }}'

    mail = render(kind, "en-US", BRAND, **values(kind) | {"name": name})

    assert "<script>" not in mail.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; " in mail.html
    assert name in mail.text


def test_lines_of_a_digest_are_no_markup() -> None:
    given = values("failure_digest") | {"lines": ["<b>bold</b> {{ 7 * 7 }}"]}

    mail = render("failure_digest", "en-US", BRAND, **given)

    assert "<li>&lt;b&gt;bold&lt;/b&gt; {{ 7 * 7 }}</li>" in mail.html


def test_a_brand_of_two_lines_leaves_the_subject_one_line() -> None:
    brand = Brand(name="Hand\r\nBcc: all@example.com")

    mail = render("verify_email", "en-US", brand, **values("verify_email"))

    assert mail.subject == "Your Hand Bcc: all@example.com verification code"


def test_a_missing_value_is_an_error_not_a_gap() -> None:
    given = {key: value for key, value in values("verify_email").items() if key != "name"}

    with pytest.raises(UndefinedError, match="'name' is undefined"):
        render("verify_email", "en-US", BRAND, **given)


@pytest.mark.parametrize("kind", ["pigeon", "../layout", ""])
def test_an_unknown_mail_is_named(kind: str) -> None:
    with pytest.raises(UnknownKind, match=f"kind must be a mail with templates, got '{kind}'"):
        render(kind, "en-US", BRAND)


@pytest.mark.parametrize(
    "path", sorted(TEMPLATES.glob("*/*.txt")), ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_what_stands_in_braces_survives_html(path: Path) -> None:
    braced = re.findall(r"\{[{%].*?[%}]\}", path.read_text(encoding="utf-8"))

    assert [expression for expression in braced if set(expression) & set("<>&\"'")] == []


def test_both_languages_have_the_same_mails_and_each_has_its_kind() -> None:
    names = [{path.stem for path in (TEMPLATES / language).glob("*.txt")} for language in Language]

    assert names == [{*KINDS, "layout"}] * 2
