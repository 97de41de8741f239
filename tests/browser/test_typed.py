"""Every screen of the router, full of what people typed: it is shown as the text it is, and does nothing."""

import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from taskhub.dashboard.pages import PAGES
from taskhub.dashboard.routing import Route
from tests.browser.conftest import PAYLOAD, Shop

# The stream of changes is no page: it never ends, and every other page listens to it.
SCREENS = {route.name: route for route in PAGES if route.method == "GET" and route.name != "events"}
# What a screen must be asked for to show something.
ASKED = {
    "jobs.bulk": {"q": "state:failed"},
    "queues.show": {"name": PAYLOAD[:40]},
    "tasks.show": {"name": PAYLOAD},
    "knowledge.search": {"q": "key behind the clock"},
    "workers": {"stopped": "1"},
}
# Names and numbers of ours alone.
WITHOUT = {"login", "system", "system.checks", "workers"}
WORDS = (
    "q", "name", "since", "state", "period", "before", "after", "actor", "action", "back", "change",
    "condition", "dataset", "mode", "hybrid",
)  # fmt: skip


def address(route: Route, shop: Shop) -> str:
    """The route's path with the shop's own ids in it."""
    ids = {**shop.ids, "job": str(shop.hostile)}
    return re.sub(r"\{(\w+)_id:int\}", lambda part: ids[part[1]], route.path)


def look(page: Page, where: str) -> str:
    """All that a page says, by its markup too, once nothing on it has come alive."""
    page.goto(where)
    for frame in page.frames:
        assert frame.locator("img[src=x]").count() == 0, f"{frame.url} holds an element of theirs"
        assert frame.locator("script:not([src])").count() == 0, f"{frame.url} holds a script"
    fields = page.locator("input").evaluate_all("all => all.map(one => one.value)")
    return "\n".join([page.locator("body").inner_text(), *fields])


@pytest.mark.parametrize("name", SCREENS)
def test_what_people_typed_is_shown_as_the_text_it_is_on(
    page: Page, shop: Shop, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    where = address(SCREENS[name], shop)

    told = look(page, f"{where}?{urlencode(ASKED.get(name, {}))}")
    if name != "mail.body":
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    look(page, f"{where}?{urlencode(dict.fromkeys(WORDS, PAYLOAD))}")

    if name not in WITHOUT:
        assert "<img src=x" in told
    broken = [r for r in caplog.records if r.getMessage() == "a page broke its policy"]
    assert broken == []


def test_what_people_typed_as_an_address_is_shown_as_the_text_it_is(page: Page, shop: Shop) -> None:
    look(page, "/nowhere/" + PAYLOAD.replace("/", ""))

    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_arguments_are_shown_as_they_were_given(page: Page, shop: Shop) -> None:
    page.goto(f"/jobs/{shop.hostile}")

    expect(page.get_by_label("Arguments", exact=True)).to_contain_text(
        "<img src=x onerror=alert(1)>"
    )
