"""The queue's statements, one a file, read once for each schema name."""

from functools import cache
from importlib import resources

# What several statements have in common, or one is made of: their text goes in for {job_matches} and so on.
PARTS = ("find_ended", "find_unended", "job_matches", "ready_lanes")


@cache
def load(name: str, schema: str) -> str:
    """The statement in `name`.sql with its tables in `schema`, a name that Settings has checked."""
    text = _text(name)
    for part in PARTS:
        if (place := f"{{{part}}}") in text:
            text = text.replace(place, _text(part))
    return text.replace("{schema}", schema)


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
