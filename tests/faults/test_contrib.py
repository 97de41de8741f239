"""What is handed to Prometheus and to systemd, as their own tools read it.

promtool comes with Debian's package prometheus, systemd-analyze with systemd.
"""

import subprocess
import sys
from pathlib import Path

import pytest

CONTRIB = Path(__file__).parents[2] / "contrib"
UNITS = sorted((CONTRIB / "deploy").glob("*.service"))


def test_alerts_fire_when_they_should_and_not_before() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", "alerts_test.yml"],
        cwd=CONTRIB / "prometheus",
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_understood_by_systemd(unit: Path, tmp_path: Path) -> None:
    # Something that can be executed, by a path without a space: systemd ends a command there.
    program = tmp_path / "taskhub"
    program.symlink_to(sys.executable)
    text = unit.read_text(encoding="utf-8").replace("/srv/taskhub/.venv/bin/taskhub", str(program))
    name = unit.name.replace("@.", "@mail.")
    (tmp_path / unit.name).write_text(text)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=False,
    )

    ours = [line for line in done.stderr.splitlines() if unit.name.split(".")[0] in line]
    assert ours == []
