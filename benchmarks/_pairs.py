"""Two sides measured in turns, A B A B, so that a slow minute of the machine hits both."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from _report import progress

Measure = Callable[[], float]

# With fewer, a quartile is a single run.
LEAST_PAIRS = 7


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Where the middle half of some numbers lies."""

    lower: float
    median: float
    upper: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Quartiles":
        """Of one number, three times that number."""
        if len(numbers) == 1:
            return cls(numbers[0], numbers[0], numbers[0])
        lower, median, upper = statistics.quantiles(numbers, n=4, method="inclusive")
        return cls(lower, median, upper)

    def __str__(self) -> str:
        return f"{number(self.median)} ({number(self.lower)}-{number(self.upper)})"


@dataclass(slots=True)
class Comparison:
    """What the two sides measured, pair by pair; `ratio` is the first side over the second."""

    first: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> Quartiles:
        """Quartiles of the ratio within each pair, not of the two sides apart."""
        pairs = zip(self.first, self.second, strict=True)
        return Quartiles.of([one / other for one, other in pairs])


def compare(what: str, first: Measure, second: Measure, pairs: int) -> Comparison:
    """Measure `first` and `second` in turns, `pairs` times each."""
    found = Comparison()
    for n in range(pairs):
        found.first.append(first())
        found.second.append(second())
        progress(
            f"{what}: pair {n + 1} of {pairs}: {number(found.first[-1])} and {number(found.second[-1])}"
        )
    return found


def control(side: Measure, pairs: int) -> Comparison:
    """The same side twice: how far two equal things seem to differ here and now."""
    return compare("control, the same side twice", side, side, pairs)


def number(value: float) -> str:
    """For people: 14,700, 71.3, 1.04."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
