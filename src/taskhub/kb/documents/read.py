"""A file's text as the rule wants it: read and cleaned, block by block."""

from collections.abc import Iterator
from typing import BinaryIO

from taskhub.kb.documents.clean import clean
from taskhub.kb.documents.extract import UNCHANGED, Format, extract, rows
from taskhub.kb.documents.limits import Limits
from taskhub.kb.documents.rows import packed
from taskhub.kb.segments.rules import Mode, ProcessRule


def read(
    file: BinaryIO, kind: Format, rule: ProcessRule, limits: Limits = UNCHANGED
) -> Iterator[str]:
    """Clean text that `cut` takes with the same rule; questions and answers stay rows.

    Raises:
        BadDocument: while it is iterated: see `extract`.
    """
    if rule.mode is Mode.QA:
        yield from packed(
            [cleaned(value, rule) for value in row] for row in rows(file, kind, limits)
        )
        return
    for block in extract(file, kind, limits):
        yield cleaned(block, rule)


def cleaned(text: str, rule: ProcessRule) -> str:
    """The text without what the rule takes out, and what is taken out always."""
    gone = rule.remove_urls_emails
    return clean(text, spaces=rule.remove_extra_spaces, urls=gone, mails=gone)
