"""A tenant imports so often and no oftener; another tenant's imports count for it alone."""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text

from taskhub import Hub, app
from taskhub.kb.annotations.imports import TooManyImports
from taskhub.kb.annotations.models import AnnotationImport
from taskhub.kb.ways_in.annotations import import_annotations
from taskhub.settings import Settings
from tests.kb.makers import make_app

CSV = b"question,answer\nWhere is the key?,Behind the clock.\n"
HubOf = Callable[..., Hub]


@pytest.fixture
def hub_of(settings: Settings) -> Iterator[HubOf]:
    made: list[Hub] = []

    def make(**chosen: Any) -> Hub:
        made.append(app.build(dataclasses.replace(settings, **chosen)))
        return made[-1]

    yield make
    for hub in made:
        hub.close()


def app_of(hub: Hub) -> int:
    with hub.transaction() as session:
        return make_app(session).id


def imports(hub: Hub) -> int:
    with hub.transaction() as session:
        return session.scalar(select(func.count()).select_from(AnnotationImport)) or 0


def later(hub: Hub, seconds: int) -> None:
    with hub.transaction() as session:
        session.execute(
            text(
                "UPDATE taskhub_kb.annotation_imports"
                f" SET created_at = created_at - interval '{seconds} s'"
            )
        )


def test_the_sixth_import_in_a_minute_is_told_when_to_come_again(hub_of: HubOf) -> None:
    hub = hub_of()
    mine, others = app_of(hub), app_of(hub)
    for n in range(5):
        import_annotations(hub, mine, f"{n}.csv", CSV)

    with pytest.raises(TooManyImports, match="at most 5 a minute, got one more; try") as raised:
        import_annotations(hub, mine, "6.csv", CSV)

    assert 0 < raised.value.retry_after_seconds <= 60
    assert imports(hub) == 5
    import_annotations(hub, others, "1.csv", CSV)
    later(hub, 61)
    import_annotations(hub, mine, "6.csv", CSV)


def test_an_hour_has_its_own_number_and_counts_all_apps_of_the_tenant(hub_of: HubOf) -> None:
    hub = hub_of(annotation_imports_per_minute=2, annotation_imports_per_hour=3)
    mine = app_of(hub)
    with hub.transaction() as session:
        from taskhub.kb.apps import create as apps

        second = apps.create(session, apps.get(session, mine).tenant_id, "second").id
    for app_id in (mine, second):
        import_annotations(hub, app_id, "a.csv", CSV)
    later(hub, 61)
    import_annotations(hub, mine, "b.csv", CSV)

    with pytest.raises(TooManyImports, match="at most 3 an hour") as raised:
        import_annotations(hub, second, "b.csv", CSV)

    assert 3400 < raised.value.retry_after_seconds <= 3600 - 61


def test_two_at_once_are_not_both_the_last_one(hub_of: HubOf) -> None:
    hub = hub_of(annotation_imports_per_minute=1)
    mine = app_of(hub)

    def tried(name: str) -> bool:
        try:
            import_annotations(hub, mine, name, CSV)
        except TooManyImports:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(tried, ("a", "b", "c", "d")))

    assert taken.count(True) == imports(hub) == 1


def test_0_switches_the_limits_off(hub_of: HubOf) -> None:
    hub = hub_of(annotation_imports_per_minute=0, annotation_imports_per_hour=0)
    mine = app_of(hub)

    for n in range(21):
        import_annotations(hub, mine, f"{n}.csv", CSV)

    assert imports(hub) == 21
