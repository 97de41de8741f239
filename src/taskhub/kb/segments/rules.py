"""The rule by which a document's text is cleaned and cut."""

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


class Mode(enum.StrEnum):
    """The ways of cutting.

    `automatic` cuts where a reader would; `custom` cuts at a separator first; `parent_child` finds
    small pieces and shows the larger one around; `qa` has a row of question and answer a segment.
    """

    AUTOMATIC = "automatic"
    CUSTOM = "custom"
    PARENT_CHILD = "parent_child"
    QA = "qa"


class Parent(enum.StrEnum):
    """What a parent is: a paragraph, or all of the document."""

    PARAGRAPH = "paragraph"
    FULL_DOCUMENT = "full_document"


class BadRule(ValueError):
    """A rule that cannot be used; the message says what it may be."""


MIN_TOKENS = 50
MAX_TOKENS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRule:
    r"""How texts are cleaned and cut; stored with a dataset, and with a document that differs.

    Attributes:
        tokens: the most that a segment has, 50 to 4,000; of a parent, where there are parents.
        overlap_tokens: what neighbours share at most; not across a separator, and not children.
        separator: where `custom` and paragraphs of `parent_child` are cut before all else.
        child_tokens: the most that a child has, 10 to 4,000, and no more than its parent.
        remove_extra_spaces: runs of blanks become one, and three line ends or more become two.
        remove_urls_emails: addresses go; links and images of Markdown keep theirs.
    """

    mode: Mode = Mode.AUTOMATIC
    tokens: int = 500
    overlap_tokens: int = 50
    separator: str = "\n\n"
    parent: Parent = Parent.PARAGRAPH
    child_tokens: int = 100
    remove_extra_spaces: bool = False
    remove_urls_emails: bool = False

    def __post_init__(self) -> None:
        if not MIN_TOKENS <= self.tokens <= MAX_TOKENS:
            raise BadRule(f"tokens must be from {MIN_TOKENS} to {MAX_TOKENS}, got {self.tokens}")
        if not 0 <= self.overlap_tokens < self.tokens:
            raise BadRule(
                f"overlap_tokens must be from 0 to below tokens, got {self.overlap_tokens} of {self.tokens}"
            )
        if not 1 <= len(self.separator) <= 100:
            raise BadRule(f"separator must be 1 to 100 characters, got {len(self.separator)}")
        if self.mode is Mode.PARENT_CHILD and not 10 <= self.child_tokens <= self.most_tokens:
            raise BadRule(
                f"child_tokens must be from 10 to {self.most_tokens}, got {self.child_tokens}"
            )

    @property
    def most_tokens(self) -> int:
        """The most that a child may have: all of its parent."""
        return MAX_TOKENS if self.parent is Parent.FULL_DOCUMENT else self.tokens

    def stored(self) -> dict[str, Any]:
        """The rule as JSON keeps it."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """The rule that `stored` wrote, or that somebody wrote by hand; what it lacks is the default.

        Raises:
            BadRule: a name or value that no rule has.
        """
        kinds: dict[str, type] = {f.name: type(f.default) for f in dataclasses.fields(cls)}
        if unknown := sorted(stored.keys() - kinds.keys()):
            raise BadRule(f"a rule has {', '.join(kinds)}; got {', '.join(unknown)}")
        found: dict[str, Any] = {}
        for name, value in stored.items():
            kind = kinds[name]
            if issubclass(kind, enum.StrEnum):
                if value not in (known := [member.value for member in kind]):
                    raise BadRule(f"{name} must be one of {', '.join(known)}, got {value!r}")
                found[name] = kind(value)
            elif type(value) is kind:  # True is an int to Python, not to whoever wrote the rule
                found[name] = value
            else:
                raise BadRule(f"{name} must be {kind.__name__}, got {value!r}")
        return cls(**found)
