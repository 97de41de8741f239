"""The command line's fixtures, here too."""

from tests.cli.conftest import command, process, project

__all__ = ["command", "process", "project"]
