"""One table says when the product's own tasks run; settings move them and switch them off."""

import pytest

from taskhub import app
from taskhub.queue.crons import declared
from taskhub.settings import BadSetting, Settings
from taskhub.system.schedules import SCHEDULES
from tests.system.conftest import Watched


def planned(**settings: str) -> dict[str, tuple[str, str]]:
    built = app.build(Settings(**settings))  # type: ignore[arg-type]  # all of these are strings
    return {cron.name: (cron.schedule.text, cron.schedule.zone) for cron in declared(built)}


def test_every_schedule_has_a_setting_and_no_two_share_one() -> None:
    settings = Settings()

    assert all(isinstance(getattr(settings, one.setting), str) for one in SCHEDULES)
    assert len({one.setting for one in SCHEDULES}) == len(SCHEDULES)
    crons = {name for name in Settings.__dataclass_fields__ if name.endswith("_cron")}
    assert {one.setting for one in SCHEDULES} == crons


def test_a_setting_moves_a_schedule_and_an_empty_one_switches_it_off() -> None:
    before = planned()
    after = planned(monitor_cron="every 30 s", rollup_cron="", schedule_zone="Europe/Berlin")

    assert before["queue_monitor"] == ("* * * * *", "UTC")
    assert after["queue_monitor"][0] == "every 30 s"
    assert after["retention"] == ("23 3 * * *", "Europe/Berlin")
    assert "statistics_rollup" in before
    assert "statistics_rollup" not in after
    assert "db_backup" not in before


def test_an_expression_that_cannot_be_names_its_setting() -> None:
    with pytest.raises(BadSetting, match="monitor_cron or schedule_zone cannot be used"):
        planned(monitor_cron="every now and then")


def test_a_schedule_is_shown_before_any_worker_declared_it(watched: Watched) -> None:
    states = {state.name: state.state for state in watched().crons.states()}

    assert states["queue_monitor"] == "new"
    assert "clean_messages" not in states


def test_a_setting_wins_over_the_decorator_of_the_task(watched: Watched) -> None:
    def both(**settings: str) -> list[tuple[str, str]]:
        hub = watched(**settings)

        @hub.cron("0 4 * * *")
        @hub.cron("0 5 * * *", id="also", name="clean_messages")
        def clean_messages() -> None:
            pass

        return [(c.name, c.schedule.text) for c in declared(hub) if "messages" in c.name]

    also = ("clean_messages:also", "0 5 * * *")
    assert both() == [also, ("clean_messages", "31 4 * * *")]
    assert both(clean_messages_cron="") == [also]
