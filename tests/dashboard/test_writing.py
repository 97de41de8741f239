"""Numbers, times and sizes in words of every language."""

import pytest

from taskhub.dashboard import words
from taskhub.dashboard.writing import Writer

SECONDS = (0.0, 0.005, 5.0, 59.6, 300.0, 7200.0, 500_000.0)
BYTES = (0, 12, 5_000, 5_000_000, 5_000_000_000)


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_unit_has_a_word(language: str) -> None:
    writer = Writer(words.locale(language))

    written = [writer.duration(n) for n in SECONDS] + [writer.size(n) for n in BYTES]

    assert [told for told in written if "duration-" in told or "digital-" in told] == []


def test_a_duration_is_short() -> None:
    english, chinese = (Writer(words.locale(language)) for language in ("en", "zh-CN"))

    assert [english.duration(n) for n in (0.005, 5, 300, None)] == ["5ms", "5s", "5m", "–"]
    assert [chinese.duration(n) for n in (5, 300)] == ["5秒", "5分钟"]
