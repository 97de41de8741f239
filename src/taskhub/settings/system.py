"""Watching, notices, backup: the system family."""

from dataclasses import dataclass
from pathlib import Path

from taskhub.settings.kinds import number


@dataclass(frozen=True, kw_only=True)
class SystemSettings:
    """Watching, notices, backup: the system family."""

    backup_directory: Path | None = None
    backup_keep: int = number(7, at_least=1)
