"""Pictures of numbers: SVG made here, each with a title, the larger ones with their data as a table.

No script and no style attribute, which the dashboard's pages do not allow; colours come from its CSS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

Numbers = Sequence[float | None]
Show = Callable[[float | None], str]

# Classes "line-0" to "line-3" have colours that are told apart on both grounds.
MOST_SERIES = 4
_WIDTH, _HEIGHT = 640.0, 160.0


class _Room(NamedTuple):
    """Where lines are drawn."""

    x: float
    y: float
    width: float
    height: float


_CANVAS = _Room(48.0, 10.0, _WIDTH - 52.0, _HEIGHT - 30.0)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart; None is a gap in it."""

    name: str
    values: Numbers


def sparkline(values: Numbers, *, title: str, width: int = 120, height: int = 24) -> Markup:
    """A line without axes, as high as its highest value; `title` says what it shows, and how much."""
    room = _Room(1.0, 2.0, width - 2.0, height - 4.0)
    points = _points(values, room, _known(values) or 1.0)
    return Markup(
        '<svg class="spark" role="img" aria-label="{title}" viewBox="0 0 {width} {height}" '
        'width="{width}" height="{height}" preserveAspectRatio="none"><title>{title}</title>'
        '<path class="line-0" d="{path}"/></svg>'
    ).format(title=title, width=width, height=height, path=_path(points))


def chart(
    series: Sequence[Series],
    labels: Sequence[str],
    *,
    title: str,
    data: str,
    when: str,
    show: Show = lambda value: "–" if value is None else f"{value:g}",
) -> Markup:
    """Some lines over the same moments, with their legend, and below them the numbers as a table.

    Args:
        labels: what each moment is called, as many as there are values.
        title: what is shown, for people who see it and for those who do not.
        data: the word that opens the table.
        when: the heading of the column of labels.
        show: how a value is written.

    Raises:
        ValueError: there are more series than colours, or one has not a value for each label.
    """
    _check(series, labels)
    top = default_top(max((_known(one.values) for one in series), default=0.0))
    return Markup(
        '<figure class="chart"><figcaption>{title}</figcaption>{legend}'
        '<svg role="img" aria-label="{title}" viewBox="0 0 {width:g} {height:g}"><title>{title}</title>'
        "{grid}{lines}</svg>{table}</figure>"
    ).format(
        title=title,
        legend=_legend(series),
        width=_WIDTH,
        height=_HEIGHT,
        grid=_grid(top, labels, show),
        lines=Markup("").join(_line(number, one, top) for number, one in enumerate(series)),
        table=_table(series, labels, data, when, show),
    )


def _check(series: Sequence[Series], labels: Sequence[str]) -> None:
    if len(series) > MOST_SERIES:
        raise ValueError(f"series must be {MOST_SERIES} at most, got {len(series)}")
    for one in series:
        if len(one.values) != len(labels):
            raise ValueError(
                f"values of {one.name!r} must be as many as labels, got {len(one.values)} for {len(labels)}"
            )


def bar(value: float | None, most: float, *, title: str) -> Markup:
    """How much `value` is of `most`, beside its number in a table's cell."""
    share = 0.0 if not most or value is None else min(max(value / most, 0.0), 1.0)
    return Markup(
        '<svg class="bar" role="img" aria-label="{title}" viewBox="0 0 100 8" width="100" height="8" '
        'preserveAspectRatio="none"><title>{title}</title><rect class="ground" width="100" height="8"/>'
        '<rect class="filled" width="{width:.1f}" height="8"/></svg>'
    ).format(title=title, width=share * 100)


def default_top(highest: float) -> float:
    """Where an axis ends that must hold `highest`: 1, 2 or 5 times a power of ten."""
    if highest <= 0 or not math.isfinite(highest):
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= highest * (1 - 1e-9))


def _known(values: Numbers) -> float:
    return max((value for value in values if value is not None), default=0.0)


def _points(values: Numbers, room: _Room, top: float) -> list[tuple[float, float] | None]:
    step = room.width / max(len(values) - 1, 1)
    return [
        None
        if value is None
        else (room.x + step * n, room.y + room.height * (1 - min(max(value / top, 0.0), 1.0)))
        for n, value in enumerate(values)
    ]


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    told, is_open = [], False
    for point in points:
        if point is None:
            is_open = False
            continue
        told.append(f"{'L' if is_open else 'M'}{point[0]:.1f} {point[1]:.1f}")
        if not is_open:
            # A single value between gaps is a dot: a line of no length has round ends.
            told.append("h0")
        is_open = True
    return " ".join(told)


def _line(number: int, one: Series, top: float) -> Markup:
    path = _path(_points(one.values, _CANVAS, top))
    return Markup('<path class="line-{}" d="{}"/>').format(number, path)


def _grid(top: float, labels: Sequence[str], show: Show) -> Markup:
    right = _CANVAS.x + _CANVAS.width
    told = [
        Markup(
            '<line class="grid" x1="{left:g}" x2="{right:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
            '<text class="tick" x="{x:g}" y="{text_y:.1f}" text-anchor="end">{value}</text>'
        ).format(
            left=_CANVAS.x, right=right, y=y, x=_CANVAS.x - 6, text_y=y + 4, value=show(top * share)
        )
        for share in (0.0, 0.5, 1.0)
        for y in (_CANVAS.y + _CANVAS.height * (1 - share),)
    ]
    ends = ((_CANVAS.x, "start", labels[0]), (right, "end", labels[-1])) if labels else ()
    told += [
        Markup('<text class="tick" x="{:g}" y="{:g}" text-anchor="{}">{}</text>').format(
            x, _HEIGHT - 4, anchor, label
        )
        for x, anchor, label in ends
    ]
    return Markup("").join(told)


def _legend(series: Sequence[Series]) -> Markup:
    items = [
        Markup(
            '<li><svg class="key" aria-hidden="true" viewBox="0 0 16 4" width="16" height="4">'
            '<path class="line-{}" d="M1 2 L15 2"/></svg> {}</li>'
        ).format(number, one.name)
        for number, one in enumerate(series)
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _table(
    series: Sequence[Series], labels: Sequence[str], data: str, when: str, show: Show
) -> Markup:
    heads = [Markup('<th scope="col">{}</th>').format(name) for name in (when, *_names(series))]
    rows = [
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            label,
            Markup("").join(Markup("<td>{}</td>").format(show(one.values[n])) for one in series),
        )
        for n, label in enumerate(labels)
    ]
    return Markup(
        '<details class="data"><summary>{}</summary><table><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></details>"
    ).format(data, Markup("").join(heads), Markup("").join(rows))


def _names(series: Sequence[Series]) -> list[str]:
    return [one.name for one in series]
