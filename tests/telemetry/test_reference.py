"""The page of all metrics says what is exported."""

from pathlib import Path

from taskhub.telemetry import reference

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_of_metrics_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.page(), (
        "run `python -m taskhub.telemetry.reference > docs/metrics.md`"
    )
