"""The system family's background tasks."""

from taskhub.queue import Blueprint

system = Blueprint()
