"""The pains of the knowledge base stand on a library with a worker."""

from tests.kb.ways_in.conftest import hub, library

__all__ = ["hub", "library"]
