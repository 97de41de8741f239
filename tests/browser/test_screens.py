"""Every screen as people see it: light and dark, on a phone and at a desk, with axe's judgement."""

import itertools
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has none
from playwright.sync_api import Browser

from taskhub.dashboard.pages import PAGES
from tests.browser.conftest import Shop, watch

# The screens of the navigation come by themselves; those behind them are named with an address.
BEHIND = {
    "job": "/jobs/{failed}",
    "bulk": "/jobs/bulk?q=state:failed&change=retry",
    "login": "/login",
    "queue": "/queues/show?name=mail",
    "task": "/tasks/show?name=send",
    "dataset": "/knowledge/datasets/{dataset}",
    "document": "/knowledge/documents/{document}",
    "search": "/knowledge/search?q=key+behind+the+clock",
    "apps": "/knowledge/apps",
    "annotations": "/knowledge/apps/{app}",
    "mail.show": "/mail/{mail}",
    "checks": "/system/checks",
}
SCREENS = {r.name: r.path for r in PAGES if r.nav is not None} | BEHIND
SIZES = {360: 740, 1280: 900}
THEMES = ("light", "dark")


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_whole_and_accessible(
    chromium: Browser, shop: Shop, artefacts: Path, name: str
) -> None:
    path = SCREENS[name].format(failed=shop.failed[0], **shop.ids)
    for theme, width in itertools.product(THEMES, SIZES):
        size = {"width": width, "height": SIZES[width]}
        context = chromium.new_context(
            base_url=shop.address,
            viewport=size,  # type: ignore[arg-type]  # a ViewportSize
            color_scheme=theme,  # type: ignore[arg-type]  # one of its words
            locale="zh-CN" if theme == "dark" else "en-US",
        )
        tab = context.new_page()
        wrong: list[str] = []
        watch(tab, wrong)

        answer = tab.goto(path)

        assert answer is not None
        assert answer.status == 200
        tab.screenshot(path=artefacts / f"{name}-{theme}-{width}.png", full_page=True)
        found = Axe().run(tab)
        assert found.violations_count == 0, found.generate_report()
        assert tab.locator("h1").count() == 1
        wide = tab.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} px wide on a screen of {width}"
        context.close()
        assert wrong == []
