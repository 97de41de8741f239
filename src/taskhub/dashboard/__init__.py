"""The dashboard: screens over what the queue and its tasks hold, as an ASGI app."""

from taskhub.dashboard.app import create
from taskhub.dashboard.visit import Person

__all__ = ["Person", "create"]
