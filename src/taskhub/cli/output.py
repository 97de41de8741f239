"""Data on stdout: a table for people, or JSON, lines, tabs and ids for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from taskhub.cli.options import Asked
from taskhub.queue.why.words import span

if TYPE_CHECKING:
    from taskhub.cli.tables import Fitted

STYLES = {
    "failed": "red", "lost": "red", "aborted": "red", "error": "red", "unhealthy": "bold red",
    "doing": "cyan", "live": "green", "succeeded": "green", "retried": "green", "healthy": "green",
    "completed": "green", "cancelled": "yellow", "unknown": "yellow",
    "draining": "yellow", "drained": "yellow",
}  # fmt: skip

# A pipe has no width: what reads it gets all of every line.
_NO_END = 1_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: what it shows of a row, and how people read it.

    Attributes:
        show: the text at a terminal, where it differs from that of a pipe.
        wide: a text, which may be folded, or go below the row, where the terminal is narrow.
    """

    name: str
    title: str = ""
    show: Callable[[Any], str] | None = None
    right: bool = False
    wide: bool = False


def write_rows(
    asked: Asked,
    rows: Iterable[Any],
    columns: Sequence[Column],
    *,
    key: str = "id",
) -> None:
    """Print a list: dataclasses or mappings, of which `ids` prints the value of `key`."""
    items = [_mapping(row) for row in rows]
    kind = _format(asked)
    if kind == "json":
        text = _json(items, indent=2)
    elif kind == "jsonl":
        text = "\n".join(_json(item) for item in items)
    elif kind == "ids":
        text = "\n".join(_plain(item[key]) for item in items)
    elif kind == "table":
        text = _table(asked, items, columns)
    else:
        lines = [[c.name for c in columns]]
        lines += [[_plain(item[c.name]) for c in columns] for item in items]
        text = "\n".join("\t".join(line) for line in lines)
    if text:
        click.echo(text, color=True)


def write_object(asked: Asked, item: Any, *, key: str = "id", table: str | None = None) -> None:
    """Print one thing; `table` is what people get in place of its names and values."""
    values = _mapping(item)
    kind = _format(asked)
    if kind in ("json", "jsonl"):
        click.echo(_json(values, indent=2 if kind == "json" else None))
    elif kind == "ids":
        click.echo(_plain(values[key]))
    elif kind == "table" and table is not None:
        click.echo(table, color=True)
    elif kind == "table":
        width = max(map(len, values), default=0)
        for name, value in values.items():
            click.echo(f"{name:{width}}  {_plain(value)}")
    else:
        for name, value in values.items():
            click.echo(f"{name}\t{_plain(value)}")


class Lines:
    """Rows that are written one by one, as they come: no table, whose widths need an end."""

    def __init__(self, asked: Asked, columns: Sequence[Column], *, key: str) -> None:
        self._kind = _format(asked)
        self._columns = columns
        self._key = key
        self._colors = asked.colors(sys.stdout)
        if self._kind == "tsv":
            click.echo("\t".join(column.name for column in columns))

    def write(self, row: Any, told: Callable[[], str]) -> None:
        """One row; people get what `told` makes of it."""
        item = _mapping(row)
        if self._kind == "table":
            text = told()
        elif self._kind == "tsv":
            text = "\t".join(_plain(item[column.name]) for column in self._columns)
        else:
            text = _plain(item[self._key]) if self._kind == "ids" else _json(item)
        click.echo(text, color=True)

    def styled(self, text: str, style: str) -> str:
        """`text` in a style of STYLES, where colour is wanted."""
        *bold, color = style.split() or [""]
        return click.style(text, fg=color, bold=bool(bold)) if self._colors and color else text


def table(asked: Asked, rows: Iterable[Any], columns: Sequence[Column]) -> str:
    """The text of a table as it stands in a screen of several."""
    return _table(asked, [_mapping(row) for row in rows], columns)


def wants_table(asked: Asked) -> bool:
    """Whether a person reads the answer."""
    return _format(asked) == "table"


def ago(at: datetime | None) -> str:
    """How long ago, or in how long."""
    if at is None:
        return ""
    seconds = (datetime.now(UTC) - at).total_seconds()
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"


def visible(text: str) -> str:
    """`text` with its control characters written out: data must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(
        c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") or c == "\u200d" else _escaped(c)
        for c in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _format(asked: Asked) -> str:
    return asked.output or ("table" if sys.stdout.isatty() else "tsv")


def _mapping(row: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(row) and not isinstance(row, type):
        return {f.name: getattr(row, f.name) for f in dataclasses.fields(row)}
    return dict(row)


def _plain(value: Any) -> str:  # noqa: PLR0911 - one kind of value, one return
    """A value in a pipe: whole, exact, on one line."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return visible(",".join(value))
    if isinstance(value, Mapping | list | tuple):
        return visible(_json(value))
    return visible(str(value))


def _json(value: Any, indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=_for_json)
    # JSON may hold C1 control characters as they are, a terminal obeys them.
    return "".join(f"\\u{ord(c):04x}" if "\x7f" <= c <= "\x9f" else c for c in text)


def _for_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _mapping(value)
    return str(value)


def _table(asked: Asked, items: list[dict[str, Any]], columns: Sequence[Column]) -> str:
    if sys.stdout.isatty() or asked.color == "always":
        return _rich_table(asked, items, columns)
    titles = [c.title or c.name for c in columns]
    lines = [titles, *([_plain(item[c.name]) for c in columns] for item in items)]
    widths = [max(_cells(line[n]) for line in lines) for n in range(len(columns))]
    return "\n".join(
        "  ".join(
            _filled(text, width, right=column.right)
            for text, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    )


def rich_grid(rows: Iterable[Any], columns: Sequence[Column]) -> Fitted:
    """A table as it is drawn at a terminal."""
    # Loaded here, because most commands in scripts never print a table.
    from taskhub.cli.tables import Fitted

    def shown(column: Column, value: Any) -> str:
        return visible(column.show(value)) if column.show is not None else _plain(value)

    return Fitted(
        [column.title or column.name for column in columns],
        [[shown(column, item[column.name]) for column in columns] for item in map(_mapping, rows)],
        numbers=frozenset(n for n, column in enumerate(columns) if column.right),
        texts=frozenset(n for n, column in enumerate(columns) if column.wide),
        styles=STYLES,
    )


def _rich_table(asked: Asked, items: list[dict[str, Any]], columns: Sequence[Column]) -> str:
    from rich.console import Console

    colors = asked.colors(sys.stdout)
    console = Console(
        force_terminal=colors, no_color=not colors, highlight=False, emoji=False, markup=False,
        width=None if sys.stdout.isatty() else _NO_END,
    )  # fmt: skip
    with console.capture() as captured:
        console.print(rich_grid(items, columns))
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


def _filled(text: str, width: int, *, right: bool) -> str:
    """`text` with blanks up to so many cells, of which a Chinese character takes two."""
    blanks = " " * (width - _cells(text))
    return blanks + text if right else text + blanks


def _cells(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
