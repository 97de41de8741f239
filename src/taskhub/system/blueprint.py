"""Where the system family's tasks are declared."""

from taskhub.queue import Blueprint

system = Blueprint()
