"""Search: passages that answer a question, by meaning, by words, or by both."""

from taskhub.kb.search.ranking import Mode
from taskhub.kb.search.search import Hit, SearchTimeout, search

__all__ = ["Hit", "Mode", "SearchTimeout", "search"]
