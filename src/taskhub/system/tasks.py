"""The system family's background tasks."""

from taskhub.system.backup import tasks as _backup  # noqa: F401 - declares them
from taskhub.system.blueprint import system

__all__ = ["system"]
