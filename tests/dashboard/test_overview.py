"""The overview: a verdict with its reasons, and numbers that lead to the jobs they count."""

import re

from taskhub import Hub
from tests.dashboard.conftest import Browser


def test_work_that_nobody_serves_is_told_first_with_a_way_to_it(hub: Hub, browser: Browser) -> None:
    @hub.task(name="send", queue="mail & more")
    def send() -> None: ...

    assert "All is well" in browser.get("/").text
    send.defer()

    page = browser.get("/").text

    assert "Work stands still" in page
    assert "which no live worker serves" in page
    address = re.search(r'<a href="([^"]+)">1</a>', page)
    assert address is not None
    assert '<tr id="job-1"' in browser.get(address[1].replace("&amp;", "&")).text
    assert '<svg class="spark" role="img"' in page
