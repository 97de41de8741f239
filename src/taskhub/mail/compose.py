"""One mail as a message: headers that nobody can add to, a text part and an HTML part."""

import email.policy
from datetime import UTC, datetime
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from functools import lru_cache
from typing import Any

from email_validator import validate_email

from taskhub.mail.render import Rendered

# Headers whose values are few.
_FEW = frozenset(
    {"mime-version", "content-type", "content-transfer-encoding", "auto-submitted", "subject"}
)


class _Registry(HeaderRegistry):
    """Headers parsed once: to parse them for each mail anew is two thirds of what a mail costs.

    A header is text that nobody changes, so that mails may share it. (Python 3.11: Content-Type is parsed
    five times a mail, and a class is made for each header.)
    """

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[str, Any] = {}
        self._parsed = lru_cache(maxsize=512)(self._parse)

    def __getitem__(self, name: str) -> Any:
        if name not in self._kinds:
            self._kinds[name] = super().__getitem__(name)
        return self._kinds[name]

    def __call__(self, name: str, value: Any) -> Any:
        if name.lower() in _FEW and isinstance(value, str):
            return self._parsed(name, value)
        return self._parse(name, value)

    def _parse(self, name: str, value: Any) -> Any:
        return self[name](name, value)


_POLICY = email.policy.default.clone(header_factory=_Registry())


def compose(
    rendered: Rendered, *, sender: tuple[str, str], recipient: tuple[str, str], message_id: str
) -> EmailMessage:
    """The message from and to one (name, address), dated now.

    Raises:
        ValueError: an address or the Message-ID cannot stand in a header.
    """
    message = EmailMessage(_POLICY)
    message["From"] = _sender(*sender)
    message["To"] = _address(*recipient)
    message["Subject"] = _line(rendered.subject)
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = message_id
    # Nobody's holiday notice should answer this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    return message


def domain(address: str) -> str:
    """What stands behind the @, as it is written on the wire."""
    return _wire(address).rpartition("@")[2]


@lru_cache(maxsize=16)
def _sender(name: str, address: str) -> Address:
    return _address(name, address)


def _address(name: str, address: str) -> Address:
    wired = _wire(address)
    if wired.isascii():
        return Address(display_name=_line(name), addr_spec=wired)
    # Address calls every other script a defect when it has to parse it; email-validator did.
    local, _, domain = wired.rpartition("@")
    return Address(display_name=_line(name), username=local, domain=domain)


def _line(value: str) -> str:
    # EmailMessage refuses line breaks; whoever got such a name past us should still get mail.
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


def _wire(address: str) -> str:
    """A domain of any script is written in ASCII, which every server takes."""
    if address.isascii():
        return address
    checked = validate_email(address, check_deliverability=False)
    return checked.ascii_email or checked.normalized
