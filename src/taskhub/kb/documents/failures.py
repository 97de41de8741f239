"""Why a document cannot be used; every reason ends as a text in its row."""

import enum


class Problem(enum.StrEnum):
    """The kinds of bad files, as `documents.error_kind` stores them."""

    MISSING = "missing"
    NOT_A_FILE = "not_a_file"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    UNKNOWN_FORMAT = "unknown_format"
    NOT_TEXT = "not_text"
    ENCRYPTED = "encrypted"
    DAMAGED = "damaged"
    NO_TEXT = "no_text"
    LIMIT = "limit"
    NOT_TABLE = "not_table"
    NOT_EMBEDDED = "not_embedded"
    SEGMENTS_LEFT_OUT = "segments_left_out"


class BadDocument(ValueError):
    """The document itself is at fault, so another try with the same file would not help."""

    def __init__(self, kind: Problem, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class UnknownDocument(LookupError):
    """There is no such document; it was deleted, or never committed."""
