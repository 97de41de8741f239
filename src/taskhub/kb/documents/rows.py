"""Rows of a table as text: one line a row that says which value belongs to which heading."""

import json
from collections.abc import Iterable, Iterator, Sequence

BLOCK_CHARACTERS = 1 << 16
# A heading is repeated on every line, so a long one would multiply the file.
HEADING_CHARACTERS = 100


def lines(rows: Iterable[Sequence[str]], title: str = "") -> Iterator[str]:
    """Blocks of lines "heading: value; heading: value", one for each row behind the headings.

    The first row that has values is taken for the headings if all of its values are words;
    otherwise lines hold the values between tabs.
    """
    headings: list[str] | None = None
    block = f"{title}\n" if title else ""
    for row in rows:
        if not any(row):
            continue
        if headings is None:
            headings = _headings(row)
            block += "" if headings else _plain(row)
            continue
        block += _named(headings, row) if headings else _plain(row)
        if len(block) >= BLOCK_CHARACTERS:
            yield block
            block = ""
    if headings and not block.removeprefix(f"{title}\n"):
        block += "\t".join(headings) + "\n"  # a table of headings alone
    if block:
        yield block + "\n"


def _headings(row: Sequence[str]) -> list[str]:
    filled = [value.strip() for value in row if value.strip()]
    wordy = all(any(map(str.isalpha, value)) for value in filled)
    if len(filled) < 2 or not wordy or len(set(filled)) < len(filled):
        return []
    return [_one_line(value)[:HEADING_CHARACTERS] for value in row]


def _named(headings: list[str], row: Sequence[str]) -> str:
    told = []
    for number, value in enumerate(row):
        if value := _one_line(value):
            heading = headings[number] if number < len(headings) else ""
            told.append(f"{heading}: {value}" if heading else value)
    return "; ".join(told) + "\n"


def _plain(row: Sequence[str]) -> str:
    return "\t".join(map(_one_line, row)).rstrip() + "\n"


def _one_line(value: str) -> str:
    return " ".join(value.split())


def packed(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows as lines from which `unpacked` makes them again, whatever their values hold."""
    for row in rows:
        yield json.dumps(list(row)) + "\n"


def unpacked(blocks: Iterable[str]) -> Iterator[list[str]]:
    """The rows that `packed` wrote, from blocks cut anywhere."""
    rest = ""
    for block in blocks:
        *whole, rest = (rest + block).split("\n")
        yield from (json.loads(line) for line in whole if line)
    if rest:
        yield json.loads(rest)
