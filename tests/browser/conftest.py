"""A shop with jobs in every state, its dashboard on a socket, and Chromium in front of it."""

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, sync_playwright

from taskhub import Fail, Hub
from taskhub.dashboard import serve
from taskhub.settings import Settings
from tests.browser import families
from tests.conftest import TEMPLATE, _fresh
from tests.waiting import until

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
# What must come out of every field as the text it is.
PAYLOAD = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>{{7*7}}"
FAILED_JOBS = 12


@dataclass(kw_only=True)
class Shop:
    """What is on the other side of the screen."""

    hub: Hub
    address: str
    database: str
    failed: list[int] = field(default_factory=list)
    hostile: int = 0
    ids: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def shop(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A hub whose worker has run once: jobs that succeeded, failed, and wait."""
    for database in _fresh(server, TEMPLATE):
        folder = tmp_path_factory.mktemp("shop")
        settings = Settings(
            database_url=database, dashboard_port=0, concurrency=4, embedder="hash",
            mail_sender="directory", mail_directory=folder,
        )  # fmt: skip
        hub = Hub(settings=settings)
        made = Shop(hub=hub, address="", database=database)
        made.ids = families.stock(hub, folder, PAYLOAD)
        _stock(made)
        told: list[str] = []
        with serve.beside(hub, settings, told.append):
            made.address = told[0].removeprefix("dashboard: ").rstrip("/")
            yield made
        hub.close()


def _stock(shop: Shop) -> None:
    hub = shop.hub
    must_fail = {"now": True}

    @hub.task(name="send", queue="mail")
    def send(order_id: int) -> str:
        if order_id < FAILED_JOBS and must_fail["now"]:
            raise Fail("no such order")
        return f"sent {order_id}"

    @hub.task(name=f"hostile {PAYLOAD}", queue=PAYLOAD[:40])
    def hostile(text: str) -> str:
        raise ValueError(text)

    shop.failed = [send.defer(n).id for n in range(FAILED_JOBS)]
    for number in range(100, 110):
        send.defer(number)
    shop.hostile = hostile.options(lock=PAYLOAD).defer(PAYLOAD).id
    work(hub)
    families.readdress(hub, PAYLOAD)
    must_fail["now"] = False
    send.options(delay=3600, lock=PAYLOAD).defer(500)


def work(hub: Hub) -> None:
    """Run what is ready; in a thread, for playwright has an event loop in this one."""
    thread = threading.Thread(target=hub.run_worker, kwargs={"wait": False})
    thread.start()
    thread.join()


def chromium_path() -> str | None:
    """The browser of the machine; CHROMIUM names another one."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


# Not for the session: playwright's event loop would be in the way of every other test that has one.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without pages."""
    path = chromium_path()
    if path is None:
        pytest.fail("no browser was found; install chromium or set CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, shop: Shop) -> Iterator[Page]:
    """A tab in which a dialog, an error of a script and a broken policy fail the test."""
    context = chromium.new_context(base_url=shop.address, locale="en-US")
    tab = context.new_page()
    wrong: list[str] = []
    watch(tab, wrong)
    yield tab
    context.close()
    assert wrong == []


def go(tab: Page, path: str) -> None:
    """Open a page and wait until it has drawn itself anew, as it does once when its stream has begun."""
    tab.add_init_script(
        "window.swaps = 0; document.addEventListener('htmx:after:swap', () => { window.swaps += 1; });"
    )
    tab.goto(path)
    until(lambda: tab.evaluate("window.swaps"), "the first drawing anew")


def watch(tab: Page, wrong: list[str]) -> None:
    """Note what must never happen in a tab."""

    def refuse(dialog: Dialog) -> None:
        wrong.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def read(said: ConsoleMessage) -> None:
        if "Content Security Policy" in said.text:
            wrong.append(said.text)

    tab.on("dialog", refuse)
    tab.on("console", read)
    tab.on("pageerror", lambda error: wrong.append(f"error {error}"))


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: TEST_ARTEFACTS, or a folder of the run."""
    named = os.environ.get("TEST_ARTEFACTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screens")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
