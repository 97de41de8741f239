"""The house every screen stands in: mounting, words, assets, live parts."""

import hashlib
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_file
from starlette.applications import Starlette
from starlette.routing import Mount

from taskhub import Hub, dashboard
from taskhub.dashboard import assets, words
from taskhub.dashboard.pages import PAGES
from taskhub.dashboard.routing import Route
from tests.dashboard.conftest import Browser, Visitor

PACKAGE = Path(dashboard.__file__).parent
SHOWN = [r for r in PAGES if r.method == "GET" and r.nav is not None]


def test_every_link_and_form_of_a_mounted_dashboard_stays_under_its_path(hub: Hub) -> None:
    inner = dashboard.create(hub, anonymous="admin")
    browser = Browser(Starlette(routes=[Mount("/ops/jobs", app=inner)]))

    page = browser.get("/ops/jobs/")

    assert page.status_code == 200
    addresses = re.findall(r'(?:href|src|action|hx-get|hx-sse:connect)="([^"#]+)"', page.text)
    assert len(addresses) > 5
    assert [a for a in addresses if not a.startswith("/ops/jobs/")] == []
    for address in re.findall(r'(?:href|src)="([^"#]+)"', page.text):
        assert browser.get(address).status_code == 200, address
    inner.state.house.reader.close()
    browser.close()


@pytest.mark.parametrize("route", SHOWN, ids=lambda r: r.name)
@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_screen_of_an_empty_hub_is_whole_and_its_live_part_comes_alone(
    browser: Browser, route: Route, language: str
) -> None:
    browser.headers["accept-language"] = language

    page = browser.get(route.path)
    part = browser.get(route.path, headers={"hx-request": "true"})

    assert page.status_code == 200
    assert f'<html lang="{language}"' in page.text
    assert page.text.count("<h1>") == 1
    assert page.text.count('id="live"') == 1
    opened = re.search(r'<div id="live"[^>]*>', page.text)
    assert opened is not None
    assert part.text.strip().startswith(opened[0])
    assert "<html" not in part.text


def test_what_the_page_says_is_chinese_for_who_prefers_it(browser: Browser) -> None:
    browser.headers["accept-language"] = "fr;q=0.2, zh-TW, en;q=0.5"
    assert "概览" in browser.get("/").text

    moved = browser.act("/preferences", {"language": "en", "back": "/"})

    assert moved.status_code == 303
    assert moved.headers["location"] == "/"
    assert "Overview" in browser.get("/").text


def test_every_word_that_is_shown_has_its_chinese() -> None:
    translated = words.translations("zh-CN")
    missing = sorted({w for w in _shown_words() if translated.gettext(w) == w})

    told = "\n".join(f'msgid "{word}"\nmsgstr ""\n' for word in missing)
    assert not missing, f"add to a file in locale/zh_CN:\n{told}"


def _shown_words() -> set[str]:
    found: set[str] = set()
    for template in PACKAGE.rglob("*.html"):
        found |= _extracted("jinja2.ext:babel_extract", template)
    for module in PACKAGE.rglob("*.py"):
        found |= _extracted("python", module)
    return found


def _extracted(method: str, file: Path) -> set[str]:
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None, "translate": None}
    options = {"extensions": "jinja2.ext.i18n", "trimmed": "true"}
    found = set()
    for _, message, _, _ in extract_from_file(method, file, keywords=keywords, options=options):
        found |= {message} if isinstance(message, str) else {m for m in message[:1] if m}
    return found


def test_vendored_files_are_the_ones_that_were_taken_in() -> None:
    folder = PACKAGE / "static" / "vendor"
    listed = [line.split() for line in (folder / "SHA256SUMS").read_text().splitlines()]

    for digest, name in listed:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    present = {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    assert {name for _, name in listed} == present
    assert any(name.startswith("LICENSE") for name in present)


def test_an_asset_is_kept_for_ever_under_the_hash_of_what_it_holds(browser: Browser) -> None:
    for asset in assets.every().values():
        served = browser.get(f"/static/{asset.name}")

        assert served.status_code == 200
        assert hashlib.sha256(served.content).hexdigest()[:12] in asset.name
        assert "immutable" in served.headers["cache-control"]
    assert browser.get("/static/../app.py").status_code == 404
    assert browser.get("/static/dashboard.css").status_code == 404


def test_no_page_can_run_what_is_not_ours(browser: Browser) -> None:
    answer = browser.get("/")

    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bstyle=|\son\w+=|<style", answer.text)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.7", ""])
def test_another_host_than_ours_is_refused(browser: Browser, host: str) -> None:
    assert browser.get("/", headers={"host": host}).status_code == 403
    assert browser.get("/", headers={"host": "127.0.0.1:8321"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_post_from_another_place_is_refused_even_with_a_token(
    browser: Browser, headers: dict[str, str]
) -> None:
    token = re.search(r'name="token" value="(\w+)"', browser.get("/").text)
    assert token is not None

    refused = browser.post("/preferences", data={"token": token[1]}, headers=headers)

    assert refused.status_code == 403


def test_a_post_without_the_token_of_its_visitor_is_refused(
    browser: Browser, visitor: Visitor
) -> None:
    other = re.search(r'name="token" value="(\w+)"', visitor().get("/").text)
    assert other is not None

    for token in ("", "0" * 64, other[1]):
        assert browser.post("/preferences", data={"token": token}).status_code == 403
    assert browser.act("/preferences", {"theme": "dark"}).status_code == 303
    assert 'data-theme="dark"' in browser.get("/").text


@pytest.mark.parametrize("place", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
def test_a_form_never_leads_to_another_place(browser: Browser, place: str) -> None:
    moved = browser.act("/preferences", {"theme": "dark", "back": place})

    assert moved.headers["location"] == "/"


def test_a_page_that_is_not_there_is_told_in_the_same_house(browser: Browser) -> None:
    answer = browser.get("/nowhere")

    assert answer.status_code == 404
    assert "There is no such page" in answer.text
    assert 'aria-label="Screens"' in answer.text


def test_a_page_can_read_and_nothing_else(browser: Browser) -> None:
    browser.get("/")
    reader = browser.app.state.house.reader

    with reader.engine.connect() as connection:
        settings = connection.exec_driver_sql(
            "SELECT current_setting('transaction_read_only'), current_setting('statement_timeout')"
        ).one()

    assert tuple(settings) == ("on", "5s")
