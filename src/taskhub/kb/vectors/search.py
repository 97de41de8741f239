"""Where search was; it has a room of its own: taskhub.kb.search."""

from taskhub.kb.search import Hit, Mode, search

__all__ = ["Hit", "Mode", "search"]
