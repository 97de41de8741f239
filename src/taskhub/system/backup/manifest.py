"""What a backup holds, in a file beside it: enough to prove it, and to say what a restore would run."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from taskhub.system.backup.contents import TableContents, Unfinished

FORMAT = 1


class BadBackup(ValueError):
    """The file is no backup of ours, or not the one its manifest describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one backup holds, as of `taken_at`, one moment for all tables.

    Attributes:
        schema, kb_schema: as they were named there; kb_schema is None where there was none.
        last_job_id: of the sequence: ids up to here were given out.
    """

    taken_at: datetime
    taskhub_version: str
    server_version: int
    revisions: tuple[str, ...]
    hub_id: str
    schema: str
    kb_schema: str | None
    last_job_id: int
    tables: dict[str, TableContents]
    unfinished: tuple[Unfinished, ...]
    dump_bytes: int = 0
    dump_sha256: str = ""
    format: int = field(default=FORMAT)

    @property
    def schemas(self) -> tuple[str, ...]:
        return (self.schema, *([self.kb_schema] if self.kb_schema else []))

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())


def beside(dump: Path) -> Path:
    """Where the manifest of a dump lies."""
    return dump.with_name(f"{dump.name}.json")


def write(manifest: Manifest, path: Path) -> None:
    """Store it as readable JSON."""
    told = dataclasses.asdict(manifest)
    path.touch(mode=0o600)
    path.write_text(json.dumps(told, indent=1, default=str) + "\n", encoding="utf-8")


def read(dump: Path) -> Manifest:
    """The manifest of a dump, which is not looked at itself.

    Raises:
        BadBackup: there is no dump, no manifest, or it is none of ours.
    """
    path = beside(dump)
    if not dump.is_file():
        raise BadBackup(f"{dump} does not exist")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadBackup(
            f"{path} is missing; a backup is two files, {dump.name} and {path.name}"
        ) from None
    except (OSError, ValueError) as error:
        raise BadBackup(f"{path} cannot be read: {error}") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise BadBackup(f"{path} must be a taskhub manifest of format {FORMAT}")
    try:
        return _from_json(told)
    except (KeyError, TypeError, ValueError) as error:
        raise BadBackup(f"{path} is damaged: {error!r}") from error


def check(manifest: Manifest, dump: Path) -> None:
    """Compare the dump with its manifest.

    Raises:
        BadBackup: it is cut short or was changed.
    """
    try:
        size = dump.stat().st_size
        if size != manifest.dump_bytes:
            raise BadBackup(
                f"{dump} must have {manifest.dump_bytes} bytes, got {size}; it is cut short"
            )
        if sha256(dump) != manifest.dump_sha256:
            raise BadBackup(f"{dump} was changed since it was made: its sha256 is another")
    except OSError as error:
        raise BadBackup(f"{dump} cannot be read: {error.strerror}") from error


def sha256(path: Path) -> str:
    """The digest of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_json(told: dict[str, Any]) -> Manifest:
    return Manifest(
        **{
            **told,
            "taken_at": datetime.fromisoformat(told["taken_at"]),
            "revisions": tuple(told["revisions"]),
            "tables": {name: TableContents(**table) for name, table in told["tables"].items()},
            "unfinished": tuple(
                Unfinished(**{**one, "oldest_at": datetime.fromisoformat(one["oldest_at"])})
                for one in told["unfinished"]
            ),
        }
    )
