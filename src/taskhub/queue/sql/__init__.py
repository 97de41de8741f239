"""The queue's statements, one a file, read once for each schema name."""

from functools import cache
from importlib import resources

# A condition that several statements have in common, for {job_matches} in them.
MATCHES = "job_matches"


@cache
def load(name: str, schema: str) -> str:
    """The statement in `name`.sql with its tables in `schema`, a name that Settings has checked."""
    text = _text(name)
    if (place := f"{{{MATCHES}}}") in text:
        text = text.replace(place, _text("job_matches"))
    return text.replace("{schema}", schema)


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
