"""A traceback with the user's own frames told apart from those of libraries."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_FOREIGN = re.compile(
    r"site-packages|dist-packages|/lib(?:64)?/python\d|^<frozen|[\\/]taskhub[\\/]queue[\\/]"
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One call, with the line of code where the traceback has it."""

    file: str
    line: int
    function: str
    code: str


def own_frames(traceback: str | None) -> list[Frame]:
    """The frames of the user's own code, the innermost first; empty where all are of libraries."""
    found = []
    lines = (traceback or "").splitlines()
    for number, text in enumerate(lines):
        frame = _FRAME.match(text)
        if frame is None or _FOREIGN.search(frame["file"]):
            continue
        below = lines[number + 1] if number + 1 < len(lines) else ""
        code = "" if _FRAME.match(below) or not below.startswith("    ") else below.strip()
        found.append(Frame(frame["file"], int(frame["line"]), frame["function"] or "", code))
    return found[::-1]
