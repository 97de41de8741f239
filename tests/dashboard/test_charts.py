"""Pictures of numbers."""

import re
from xml.etree import ElementTree

import pytest

from taskhub.dashboard.charts import Series, bar, chart, default_top, sparkline

XSS = '"><script>alert(1)</script>'


def drawn(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def read(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup)  # noqa: S314 - made a line above


def test_a_sparkline_is_as_high_as_its_highest_value() -> None:
    picture = read(sparkline([0, 5, 10], title="in per minute", width=100, height=24))

    path = picture.find("path")
    assert path is not None
    assert drawn(path.attrib["d"]) == [(1.0, 22.0), (50.0, 12.0), (99.0, 2.0)]
    assert picture.findtext("title") == picture.attrib["aria-label"] == "in per minute"


@pytest.mark.parametrize("values", [[], [None], [0, 0], [7], [None, 3, None]])
def test_few_numbers_or_none_make_a_picture_too(values: list[float | None]) -> None:
    assert read(sparkline(values, title="x")).tag == "svg"


def test_a_gap_parts_a_line() -> None:
    path = read(sparkline([1, 1, None, 1, 1], title="x")).find("path")

    assert path is not None
    assert path.attrib["d"].count("M") == 2


def test_a_chart_holds_its_numbers_as_a_table() -> None:
    lines = [Series("in", [1, None]), Series("out", [2, 40])]

    figure = read(chart(lines, ["10:00", "10:01"], title="jobs", data="numbers", when="time"))

    rows = [["".join(cell.itertext()) for cell in row] for row in figure.iter("tr")]
    assert rows == [["time", "in", "out"], ["10:00", "1", "2"], ["10:01", "–", "40"]]
    assert figure.findtext("svg/title") == "jobs"


def test_an_axis_ends_at_a_round_number_that_holds_all() -> None:
    tops = [default_top(highest) for highest in (0, 0.3, 1, 1.1, 37, 51, 1000)]

    assert tops == [1.0, 0.5, 1, 2, 50, 100, 1000]


def test_a_bar_is_never_longer_than_its_ground() -> None:
    widths = [read(bar(value, 10, title="x"))[2].attrib["width"] for value in (0, 5, 99, None)]

    assert widths == ["0.0", "50.0", "100.0", "0.0"]


def test_names_are_text_and_never_markup() -> None:
    told = chart([Series(XSS, [1])], [XSS], title=XSS, data=XSS, when=XSS)

    assert "<script" not in told
    assert "<script" not in sparkline([1], title=XSS) + bar(1, 2, title=XSS)


def test_series_without_a_colour_or_a_value_are_refused() -> None:
    with pytest.raises(ValueError, match="series must be 4 at most, got 5"):
        chart([Series("x", [])] * 5, [], title="t", data="d", when="w")
    with pytest.raises(ValueError, match="values of 'x' must be as many as labels, got 1 for 2"):
        chart([Series("x", [1])], ["a", "b"], title="t", data="d", when="w")
