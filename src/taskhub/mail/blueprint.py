"""Where the mail family's tasks are declared."""

from taskhub.queue import Blueprint

mail = Blueprint()
