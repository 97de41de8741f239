"""docs/cli.md says what the commands say of themselves."""

from pathlib import Path

from taskhub.cli.reference import page

ROOT = Path(__file__).parents[2]


def test_the_reference_of_the_command_line_is_current() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")

    assert written == page(), "a command has changed; run bin/reference"
