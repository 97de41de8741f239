from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from taskhub.embedded import scratch


def test_a_scratch_server_has_its_settings_and_leaves_nothing_even_after_an_exception(
    tmp_path: Path,
) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        scratch(tmp_path, fsync="off", application_name="it's a test") as url,
    ):
        with psycopg.connect(url) as connection:
            row = connection.execute(
                "SELECT current_setting('fsync'), current_setting('application_name'), rolsuper "
                "FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        raise ZeroDivisionError

    assert row == ("off", "it's a test", True)
    assert not Path(parse_qs(urlsplit(url).query)["host"][0]).parent.exists()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
