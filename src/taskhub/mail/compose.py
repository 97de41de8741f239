"""One mail as a message: headers that nobody can add to, a text part and an HTML part."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage

from email_validator import validate_email

from taskhub.mail.render import Rendered


def compose(
    rendered: Rendered, *, sender: tuple[str, str], recipient: tuple[str, str], message_id: str
) -> EmailMessage:
    """The message from and to one (name, address), dated now.

    Raises:
        ValueError: an address or the Message-ID cannot stand in a header.
    """
    message = EmailMessage()
    message["From"] = _address(*sender)
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
