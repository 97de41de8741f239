"""The queue's statements, one a file, read once for each schema name."""

from functools import cache
from importlib import resources


@cache
def load(name: str, schema: str) -> str:
    """The statement in `name`.sql with its tables in `schema`, a name that Settings has checked."""
    text = resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return text.replace("{schema}", schema)
