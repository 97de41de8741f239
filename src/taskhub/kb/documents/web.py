"""Get what a web address stands for, without letting it reach into the inner network."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import BinaryIO

import httpx

from taskhub.kb.documents.failures import BadDocument, Problem

MAX_URL_CHARACTERS = 2000
READ_BYTES = 1 << 16
Address = IPv4Address | IPv6Address

# Answers to the machines of Azure alone, though its number is a public one.
_METADATA = {ip_address("168.63.129.16")}
# A gateway takes the last 32 bits for an IPv4 address.
_NAT64 = IPv6Network("64:ff9b::/96")
_MOVED = frozenset({301, 302, 303, 307, 308})
# These may be answered otherwise a minute later; any other refusal is the address's own fault.
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


class NotReached(Exception):
    """The server did not answer, or not now; another try may help.

    Attributes:
        retry_after: seconds that the server asked to wait, None where it said nothing.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """What a fetch may take, and whom it may ask though they are not in the public internet."""

    max_bytes: int = 67_108_864
    seconds: float = 60.0
    redirects: int = 5
    allowed_private_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What the server answered; the content was written to the caller's file.

    Attributes:
        is_new: False for 304, the content is what it was and nothing was written.
        url: where the last redirect led to.
    """

    is_new: bool
    url: str
    media_type: str = ""
    etag: str | None = None
    modified: str | None = None


def check_url(url: str) -> httpx.URL:
    """The address, if it is one that may be fetched.

    Raises:
        BadDocument: another scheme, a password in it, no host, or too long.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise _refused(f"web address could not be read: {error}") from None
    if len(url) > MAX_URL_CHARACTERS:
        raise _refused(f"web address must be at most {MAX_URL_CHARACTERS} characters")
    if parsed.scheme not in ("http", "https"):
        raise _refused(f"web address must begin with http:// or https://, got {parsed.scheme!r}")
    if parsed.userinfo:
        raise _refused("web address must not hold a user or password")
    if not parsed.host:
        raise _refused("web address must name a host")
    if not 0 < (parsed.port or 80) < 65_536:
        raise _refused(f"web address must name a port from 1 to 65535, got {parsed.port}")
    return parsed


def fetch_url(
    url: str,
    into: BinaryIO,
    limits: FetchLimits,
    *,
    etag: str | None = None,
    modified: str | None = None,
) -> Fetched:
    """Write what the address stands for to `into`, and rewind it; blocks, in no event loop.

    Each host is resolved once, all its addresses are checked, and the connection goes to the one
    that was checked; so for each redirect. `etag` and `modified` are those of the last fetch.

    Raises:
        BadDocument: the address may not be asked, or its answer cannot be used.
        NotReached: no answer, or one that says to come again.
    """
    told = {"if-none-match": etag, "if-modified-since": modified}
    # Asked for as it is: what is counted is then what arrives, and no bomb can unfold.
    headers = {"accept-encoding": "identity", "user-agent": "taskhub"}
    headers.update({name: value for name, value in told.items() if value is not None})
    return asyncio.run(_within(check_url(url), into, limits, headers))


async def _within(
    url: httpx.URL, into: BinaryIO, limits: FetchLimits, headers: dict[str, str]
) -> Fetched:
    try:
        # One clock for all of it: a server that sends a byte now and then never times out else.
        async with asyncio.timeout(limits.seconds):
            return await _follow(url, into, limits, headers)
    except TimeoutError:
        raise NotReached(
            f"{url.host} did not send all within {limits.seconds:g} seconds; raise fetch_seconds"
        ) from None
    except httpx.TransportError as error:
        raise NotReached(
            f"{url.host} could not be reached: {str(error) or type(error).__name__}"
        ) from None


async def _follow(
    url: httpx.URL, into: BinaryIO, limits: FetchLimits, headers: dict[str, str]
) -> Fetched:
    transport = _Pinned(limits.allowed_private_hosts)
    # No proxy of the environment: it would resolve the name again, and by its own rules.
    async with httpx.AsyncClient(
        transport=transport, trust_env=False, timeout=limits.seconds, headers=headers
    ) as client:
        for _ in range(limits.redirects + 1):
            async with client.stream("GET", url) as answer:
                if answer.status_code not in _MOVED or "location" not in answer.headers:
                    return await _taken(answer, url, into, limits.max_bytes)
                url = check_url(str(url.join(answer.headers["location"])))
    raise _refused(f"web address must not redirect more than {limits.redirects} times")


async def _taken(answer: httpx.Response, url: httpx.URL, into: BinaryIO, max_bytes: int) -> Fetched:
    if answer.status_code == httpx.codes.NOT_MODIFIED:
        return Fetched(is_new=False, url=str(url))
    if answer.status_code in _TRANSIENT:
        raise NotReached(f"{url.host} answered {answer.status_code}", _retry_after(answer))
    if not answer.is_success:
        raise _refused(f"{url.host} answered {answer.status_code} {answer.reason_phrase}".rstrip())
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise _refused(f"{url.host} sent compressed content, which was not asked for")
    taken = 0
    async for chunk in answer.aiter_raw(READ_BYTES):
        taken += len(chunk)
        if taken > max_bytes:
            raise BadDocument(
                Problem.TOO_LARGE,
                f"limit of {max_bytes} bytes reached while fetching; raise max_file_bytes to take it",
            )
        into.write(chunk)
    into.seek(0)
    return Fetched(
        is_new=True,
        url=str(url),
        media_type=answer.headers.get("content-type", "").partition(";")[0].strip().lower(),
        etag=answer.headers.get("etag"),
        modified=answer.headers.get("last-modified"),
    )


def _refused(message: str) -> BadDocument:
    return BadDocument(Problem.REFUSED, message)


def _retry_after(answer: httpx.Response) -> float | None:
    with contextlib.suppress(ValueError):
        return max(float(answer.headers.get("retry-after", "")), 0.0)
    return None


class _Pinned(httpx.AsyncBaseTransport):
    """Connects to an address that was checked, and tells the server the name all the same."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(host.lower() for host in allowed)
        # Kept connections would be shared by address, and so by names that are not each other's.
        self._inner = httpx.AsyncHTTPTransport(
            trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer of the first of the host's addresses that takes the connection."""
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        addresses = await checked_addresses(host, port, is_allowed=host.lower() in self._allowed)
        refused: httpx.ConnectError | None = None
        for address in addresses:
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,  # with the Host of the name
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except httpx.ConnectError as error:
                refused = error
        raise refused or NotReached(f"{host} has no address")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


async def checked_addresses(host: str, port: int, *, is_allowed: bool) -> list[Address]:
    """The addresses to connect to; one inner address among those of the host refuses them all.

    Raises:
        BadDocument: the host is, or leads to, an address that is not public.
        NotReached: the name could not be resolved.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotReached(f"{host} could not be resolved: {error}") from None
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    addresses = [ip_address(text) for text in texts]
    for address in addresses:
        if not (is_allowed or is_public(address)):
            raise _refused(
                f"{host} leads to {address}, which is not in the public internet; "
                "name the host in allowed_private_hosts to allow it"
            )
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address, and any address that it carries inside, belongs to the public internet."""
    if isinstance(address, IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            inner.append(IPv4Address(int(address) & 0xFFFF_FFFF))
        if not all(is_public(each) for each in inner if each is not None):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast and address not in _METADATA
