"""A connection to a checked address asks for the name, and believes a certificate of the name alone."""

import io
from pathlib import Path

import certifi
import pytest

from taskhub.kb.documents.web import FetchLimits, NotReached, fetch_url
from tests.kb.documents.authority import Authority, serving_tls

LOCAL = FetchLimits(allowed_private_hosts=("localhost",), seconds=10)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The authority, as the only one that is believed."""
    monkeypatch.setattr(certifi, "where", lambda: str(authority.path))
    return authority


def test_the_server_is_asked_for_by_its_name_and_believed_for_it(trusted: Authority) -> None:
    into = io.BytesIO()
    with serving_tls(trusted.issue("localhost")) as seen:
        fetched = fetch_url(f"https://localhost:{seen.port}/a", into, LOCAL)

    assert into.read() == b"hello"
    assert fetched.url == f"https://localhost:{seen.port}/a"
    assert seen.names == ["localhost"]
    assert seen.hosts == [f"localhost:{seen.port}"]


@pytest.mark.parametrize("names", [("other.example",), ("127.0.0.1",)])
def test_a_certificate_of_another_name_or_of_the_address_is_not_believed(
    trusted: Authority, names: tuple[str, ...]
) -> None:
    with (
        serving_tls(trusted.issue(*names)) as seen,
        pytest.raises(NotReached, match="certificate is not valid for 'localhost'"),
    ):
        fetch_url(f"https://localhost:{seen.port}/", io.BytesIO(), LOCAL)

    assert seen.hosts == []


def test_a_certificate_that_is_over_is_not_believed(trusted: Authority) -> None:
    with (
        serving_tls(trusted.issue("localhost", days=-1)) as seen,
        pytest.raises(NotReached, match="certificate has expired"),
    ):
        fetch_url(f"https://localhost:{seen.port}/", io.BytesIO(), LOCAL)

    assert seen.hosts == []


def test_an_authority_that_nobody_trusts_is_not_believed(authority: Authority) -> None:
    certificate: Path = authority.issue("localhost")
    with (
        serving_tls(certificate) as seen,
        pytest.raises(NotReached, match="certificate verify failed"),
    ):
        fetch_url(f"https://localhost:{seen.port}/", io.BytesIO(), LOCAL)

    assert seen.hosts == []
