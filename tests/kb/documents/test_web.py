"""Web addresses: what may be fetched is, and nothing of the inner network ever is."""

import asyncio
import io
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address

import pytest

from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.web import FetchLimits, NotReached, fetch_url, is_public
from tests.kb.documents.site import Site, send, serving

# Only this name of the machine: "127.0.0.1" and what else leads to it stay forbidden.
LOCAL = FetchLimits(allowed_private_hosts=("localhost",), seconds=10)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def refusal(url: str, limits: FetchLimits = LOCAL) -> str:
    with pytest.raises(BadDocument) as caught:
        fetch_url(url, io.BytesIO(), limits)
    return str(caught.value)


def test_a_page_is_fetched_with_what_its_server_says_of_it(site: Site) -> None:
    url = site.page("/a", b"hello", content_type="text/html; charset=utf-8", etag='"1"')
    into = io.BytesIO()

    fetched = fetch_url(url, into, LOCAL)

    assert into.read() == b"hello"
    assert (fetched.is_new, fetched.media_type, fetched.etag) == (True, "text/html", '"1"')
    assert site.asked[0][1]["host"] == f"localhost:{site.port}"


def test_an_unchanged_page_is_not_sent_again(site: Site) -> None:
    def answer(asked: BaseHTTPRequestHandler) -> None:
        is_same = asked.headers["if-none-match"] == '"1"'
        send(asked, 304 if is_same else 200, b"" if is_same else b"hello")

    site.pages["/a"] = answer
    into = io.BytesIO()

    fetched = fetch_url(site.url("/a"), into, LOCAL, etag='"1"', modified="yesterday")

    assert (fetched.is_new, into.getvalue()) == (False, b"")
    assert site.asked[0][1]["if-modified-since"] == "yesterday"


def test_a_redirect_is_followed_and_told(site: Site) -> None:
    site.page("/b", b"there")
    into = io.BytesIO()

    fetched = fetch_url(site.redirect("/a", "/b"), into, LOCAL)

    assert (into.read(), fetched.url) == (b"there", site.url("/b"))


@pytest.mark.parametrize(
    "to",
    [
        "http://127.0.0.1:{port}/secret",
        "http://2130706433:{port}/secret",
        "http://[::ffff:127.0.0.1]:{port}/secret",
        "http://169.254.169.254/latest/meta-data/",
        "http://0.0.0.0:{port}/secret",
        "//127.1:{port}/secret",
    ],
)
def test_a_redirect_into_the_inner_network_is_refused(site: Site, to: str) -> None:
    site.page("/secret", b"password")
    url = site.redirect("/a", to.format(port=site.port))

    assert "which is not in the public internet" in refusal(url)
    assert [path for path, _ in site.asked] == ["/a"]


@pytest.mark.parametrize("to", ["file:///etc/passwd", "gopher://localhost/", "ftp://localhost/a"])
def test_a_redirect_to_another_scheme_is_refused(site: Site, to: str) -> None:
    assert "must begin with http:// or https://" in refusal(site.redirect("/a", to))


def test_redirects_come_to_an_end(site: Site) -> None:
    assert "must not redirect more than 5 times" in refusal(site.redirect("/a", "/a"))
    assert len(site.asked) == 6


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/passwd", "must begin with http:// or https://"),
        ("ldap://localhost/", "must begin with http:// or https://"),
        ("http://user:secret@localhost/", "must not hold a user or password"),
        ("http:///path", "must name a host"),
        ("http://localhost/" + "a" * 2000, "must be at most 2000 characters"),
        ("http://localhost:99999999/", "must name a port from 1 to 65535"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(url: str, message: str) -> None:
    said = refusal(url)

    assert message in said
    assert "secret" not in said


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Have names resolve to these addresses, the last answer from then on; the names asked for."""
    asked: list[str] = []

    async def getaddrinfo(_: object, host: str, port: int, **__: object) -> list[object]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.7"],
        ["192.168.1.1"],
        ["169.254.169.254"],
        ["93.184.216.34", "172.16.0.1"],
        ["fd00::1"],
    ],
)
def test_a_name_that_leads_inside_is_refused_even_among_public_addresses(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolving(monkeypatch, addresses)

    assert "intern.example leads to" in refusal("http://intern.example/a")


def test_the_connection_goes_to_the_address_that_was_checked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A server of names that answers otherwise the second time: whoever asked twice would be caught.
    site.page("/a", b"hello")
    asked = resolving(monkeypatch, ["127.0.0.1"], ["192.0.2.1"])
    limits = FetchLimits(allowed_private_hosts=("rebind.example",), seconds=10)
    into = io.BytesIO()

    fetch_url(site.url("/a", "rebind.example"), into, limits)

    assert into.read() == b"hello"
    assert asked[0] == "rebind.example"
    assert site.asked[0][1]["host"] == f"rebind.example:{site.port}"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("100.100.100.200", False),
        ("168.63.129.16", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_an_address_is_public_only_if_what_it_carries_is(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


def test_a_page_above_the_limit_is_given_up_while_it_comes(site: Site) -> None:
    sent = []

    def answer(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(200)  # without a length: only counting tells
        asked.end_headers()
        for _ in range(1000):
            asked.wfile.write(b"x" * 65_536)
            sent.append(65_536)

    site.pages["/a"] = answer
    into = io.BytesIO()

    with pytest.raises(BadDocument, match="limit of 1000 bytes reached") as caught:
        fetch_url(
            site.url("/a"), into, FetchLimits(max_bytes=1000, allowed_private_hosts=("localhost",))
        )

    assert caught.value.kind is Problem.TOO_LARGE
    assert len(into.getvalue()) <= 1000
    assert len(sent) < 1000


def test_a_server_that_drips_is_left_when_the_time_is_up(site: Site) -> None:
    over = threading.Event()

    def answer(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(200)
        asked.end_headers()
        while not over.wait(0.05):
            asked.wfile.write(b"x")
            asked.wfile.flush()

    site.pages["/a"] = answer
    limits = FetchLimits(seconds=0.5, allowed_private_hosts=("localhost",))

    with pytest.raises(NotReached, match=r"did not send all within 0\.5 seconds"):
        fetch_url(site.url("/a"), io.BytesIO(), limits)
    over.set()


def test_compressed_content_that_was_not_asked_for_is_refused(site: Site) -> None:
    url = site.page("/a", b"\x1f\x8b", content_encoding="gzip")

    assert "sent compressed content" in refusal(url)
    assert site.asked[0][1]["accept-encoding"] == "identity"


@pytest.mark.parametrize(("status", "after", "seconds"), [(429, "7", 7.0), (503, "soon", None)])
def test_a_server_that_says_to_come_again_is_told_apart(
    site: Site, status: int, after: str, seconds: float | None
) -> None:
    site.pages["/a"] = lambda asked: send(asked, status, b"", retry_after=after)

    with pytest.raises(NotReached, match=f"localhost answered {status}") as caught:
        fetch_url(site.url("/a"), io.BytesIO(), LOCAL)

    assert caught.value.retry_after == seconds


def test_a_page_that_is_not_there_is_the_addresses_fault(site: Site) -> None:
    assert refusal(site.url("/nothing")) == "localhost answered 404 Not Found"


def test_a_port_on_which_nobody_listens_is_not_reached() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and never listened on
        port = taken.getsockname()[1]

        with pytest.raises(NotReached, match="localhost could not be reached"):
            fetch_url(f"http://localhost:{port}/", io.BytesIO(), LOCAL)


def test_the_proxies_of_the_environment_are_not_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    into = io.BytesIO()

    fetch_url(site.page("/a", b"direct"), into, LOCAL)

    assert into.read() == b"direct"
