"""Every background task of the mail family: one for each kind of mail, custom bodies, deleted accounts."""

import taskhub.accounts.models  # noqa: F401 - a flush needs every model that a foreign key names
from taskhub.mail import custom, deletion, sending
from taskhub.mail.blueprint import mail

__all__ = ["custom", "deletion", "mail", "sending"]
