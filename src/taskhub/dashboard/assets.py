"""Scripts and styles, under names that hold a hash of what is in them, so that they are kept for ever."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePosixPath

KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
FILES = (
    "vendor/htmx-4.0.1.min.js",
    "vendor/hx-sse-4.0.1.min.js",
    "dashboard.js",
    "dashboard.css",
    "icon.svg",
)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served."""

    name: str
    media_type: str
    content: bytes


@cache
def every() -> dict[str, Asset]:
    """The assets by the file they come from."""
    return {file: _load(file) for file in FILES}


@cache
def by_name() -> dict[str, Asset]:
    """The assets by the name under which they are served."""
    return {asset.name: asset for asset in every().values()}


def _load(file: str) -> Asset:
    content = resources.files(__package__).joinpath("static", file).read_bytes()
    path = PurePosixPath(file)
    digest = hashlib.sha256(content).hexdigest()[:12]
    return Asset(f"{path.stem}.{digest}{path.suffix}", KINDS[path.suffix], content)
