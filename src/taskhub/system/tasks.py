"""The system family's background tasks."""

from taskhub.system import knowledge as _knowledge  # noqa: F401 - declares them
from taskhub.system import periodic as _periodic  # noqa: F401 - as above
from taskhub.system.backup import tasks as _backup  # noqa: F401 - as above
from taskhub.system.blueprint import system
from taskhub.system.schedules import switch_on

__all__ = ["switch_on", "system"]
