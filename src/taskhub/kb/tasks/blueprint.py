"""Where the knowledge base's tasks are declared."""

from taskhub.queue import Blueprint

kb = Blueprint()
