"""What people do with the dashboard, by hand."""

import re
import threading

import psycopg
import pytest
from playwright.sync_api import Page, Route, expect

from taskhub import db
from taskhub.queue import insight
from tests.browser.conftest import Shop, go, watch, work
from tests.waiting import until


def test_failed_jobs_are_retried_with_the_keyboard_alone(page: Page, shop: Shop) -> None:
    go(page, "/jobs?q=state:failed queue:mail")
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")

    page.get_by_label("Select all on this page").focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("held still while you select")).to_be_hidden()
    page.get_by_label("Reason").focus()
    page.keyboard.type("the shop is open again")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Retry selected")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_contain_text("12 of 12 jobs wait again")
    statuses = {insight.job(shop.hub, n).status for n in shop.failed}
    assert statuses == {"todo"}
    [noted] = insight.audit(shop.hub, limit=1)
    assert (noted.action, noted.reason, noted.changed) == ("retry", "the shop is open again", 12)


def test_a_box_that_has_the_focus_stays_under_the_hand(page: Page, shop: Shop) -> None:
    redrawn: list[Route] = []

    def hold_up(route: Route) -> None:
        if route.request.headers.get("hx-request") == "true":
            redrawn.append(route)
        else:
            route.continue_()

    page.route(re.compile("/jobs"), hold_up)
    page.goto("/jobs?q=queue:mail")
    until(lambda: page.evaluate("1") and redrawn, "the page's question for its new part")
    boxes = page.locator("[data-select]")

    page.get_by_label("Select all on this page").focus()
    page.keyboard.down("Space")
    redrawn.pop().continue_()
    expect(page.get_by_text("held still while you select")).to_be_visible()
    page.keyboard.up("Space")

    assert boxes.count() > 1
    expect(page.locator("[data-select]:checked")).to_have_count(boxes.count())


def test_a_page_shows_a_change_without_being_touched_and_holds_still_when_asked(
    page: Page, shop: Shop
) -> None:
    work(shop.hub)
    page.goto("/jobs?q=state:todo queue:mail")
    rows = page.locator("tbody tr")
    before = rows.count()
    send = shop.hub.tasks["send"]

    send.options(delay=3600).defer(601)
    expect(rows).to_have_count(before + 1, timeout=10_000)

    page.get_by_role("button", name="Pause updates").click()
    send.options(delay=3600).defer(602)
    page.context.new_page().goto("/jobs?q=state:todo queue:mail")
    expect(page.context.pages[1].locator("tbody tr")).to_have_count(before + 2, timeout=10_000)
    expect(rows).to_have_count(before + 1)
    page.get_by_role("button", name="Pause updates").click()
    expect(rows).to_have_count(before + 2, timeout=10_000)


@pytest.mark.parametrize("late", ["htmx-", "hx-sse-", "dashboard."])
def test_a_page_is_live_whichever_script_comes_last(page: Page, shop: Shop, late: str) -> None:
    def hold_up(route: Route) -> None:
        threading.Event().wait(0.5)
        route.continue_()

    page.route(re.compile(rf"/static/{re.escape(late)}[^/]*js"), hold_up)
    page.goto("/jobs?q=state:todo queue:mail")
    rows = page.locator("tbody tr")
    before = rows.count()

    shop.hub.tasks["send"].options(delay=3600).defer(650)

    expect(rows).to_have_count(before + 1, timeout=10_000)


def test_two_tabs_cancel_the_same_job_and_both_are_told_the_truth(page: Page, shop: Shop) -> None:
    job = shop.hub.tasks["send"].options(delay=3600).defer(700)
    other = page.context.new_page()
    for tab in (page, other):
        tab.goto(f"/jobs/{job.id}")
        expect(tab.get_by_role("button", name="Cancel")).to_be_visible()
    page.get_by_role("button", name="Pause updates").click()

    other.get_by_role("button", name="Cancel").click()
    expect(other.get_by_role("status")).to_contain_text("1 of 1 jobs were cancelled")
    page.get_by_role("button", name="Cancel").click()

    expect(page.get_by_role("status")).to_contain_text("0 of 1 jobs were cancelled")
    assert insight.job(shop.hub, job.id).status == "cancelled"


def test_a_dead_database_is_told_and_its_return_too(page: Page, shop: Shop) -> None:
    name = shop.database.rsplit("/", 1)[-1].partition("?")[0]
    other = re.sub(r"/[^/?]+(\?|$)", r"/postgres\1", shop.database)
    page.goto("/")
    away = page.get_by_role("alert").filter(has_text="The database is away")
    expect(page.locator("#pulse")).to_be_visible()
    expect(away).to_be_hidden()

    with psycopg.connect(db.conninfo(db.address(other)), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        admin.execute(kill, (name,))
        expect(away).to_be_visible(timeout=15_000)
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    expect(away).to_be_hidden(timeout=15_000)
    expect(page.locator("#live table")).to_be_visible()


def test_pages_are_read_and_changed_without_scripts(page: Page, shop: Shop) -> None:
    job = shop.hub.tasks["send"].options(delay=3600).defer(800)
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(base_url=shop.address, java_script_enabled=False)
    tab = context.new_page()
    wrong: list[str] = []
    watch(tab, wrong)

    tab.goto(f"/jobs/{job.id}")
    tab.get_by_role("button", name="Cancel").click()

    expect(tab.get_by_role("status")).to_contain_text("1 of 1 jobs were cancelled")
    until(lambda: insight.job(shop.hub, job.id).status == "cancelled", "the cancel")
    context.close()
    assert wrong == []


def test_the_keyboard_has_short_ways_and_says_so(page: Page, shop: Shop) -> None:
    page.goto("/jobs?q=queue:mail")
    expect(page.locator("tbody tr").first).to_be_visible()

    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tbody tr").first.get_by_role("link")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Filter")).to_be_focused()
