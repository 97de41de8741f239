"""The ways in: each stores what makes a mail necessary and defers its job in one transaction."""

from taskhub.mail.ways_in.members import (
    accept_invitation,
    ask_transfer,
    confirm_transfer,
    invite,
    resend_invitation,
)
from taskhub.mail.ways_in.notices import documents_disabled, send_custom, send_notice
from taskhub.mail.ways_in.people import (
    ask_address_change,
    ask_deletion,
    confirm_address,
    confirm_deletion,
    log_in,
    prove_address,
    register,
    request_login,
    request_reset,
)
from taskhub.mail.ways_in.resend import resend

__all__ = [
    "accept_invitation",
    "ask_address_change",
    "ask_deletion",
    "ask_transfer",
    "confirm_address",
    "confirm_deletion",
    "confirm_transfer",
    "documents_disabled",
    "invite",
    "log_in",
    "prove_address",
    "register",
    "request_login",
    "request_reset",
    "resend",
    "resend_invitation",
    "send_custom",
    "send_notice",
]
