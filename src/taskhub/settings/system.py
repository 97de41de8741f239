"""Watching, notices, backup: the system family."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SystemSettings:
    """Watching, notices, backup: the system family."""
