"""Secret arguments: never in a row, a log, an error or a hook as they are, and given to the task whole."""

import asyncio
import json
import logging
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from tests.queue import crunching

from taskhub import Context, Encrypted, Hub, Secret, Status
from taskhub.queue import JobEvent, keys, rotation
from taskhub.queue.keys import NoSecretKey
from taskhub.settings import BadSetting, Settings

OLD, NEW = keys.new_key("2026a"), keys.new_key("2026b")
PASSWORD = "hunter2-Ünïcode-<&>"  # noqa: S105 - the one that must not be seen


def with_keys(hub: Hub, *given: str) -> None:
    hub.__dict__["settings"] = replace(hub.settings, secret_keys=given)


@pytest.fixture
def hub(settings: Settings) -> Iterator[Hub]:
    """A hub with one key."""
    made = Hub(settings=replace(settings, secret_keys=(OLD,)))
    yield made
    made.close()


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def everything_stored(hub: Hub) -> str:
    """All rows of all tables of the queue, as text."""
    with hub.engine.connect() as connection:
        tables = (
            connection.execute(
                text(
                    "SELECT c.oid::regclass::text FROM pg_class c "
                    "WHERE c.relnamespace = 'taskhub'::regnamespace "
                    "AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
                )
            )
            .scalars()
            .all()
        )
        return "\n".join(
            row
            for table in tables
            for row in connection.execute(text(f"SELECT t::text FROM {table} AS t")).scalars()
        )


def test_a_secret_is_given_whole_and_stored_encrypted_until_the_end(hub: Hub) -> None:
    seen: list[object] = []

    @hub.task
    def log_in(
        user: str, password: Secret[str], pin: Encrypted[int], *, token: Secret[str] | None = None
    ) -> None:
        seen.append((user, password, pin, token))

    job = log_in.defer("ann", Secret(PASSWORD), 90210123)
    as_plain = log_in.options(delay=3600).defer_many(
        [{"user": "bo", "password": PASSWORD, "pin": "7", "token": None}]
    )
    waiting = everything_stored(hub)
    work(hub)

    assert seen == [("ann", Secret(PASSWORD), 90210123, None)]
    assert type(seen[0][2]) is int  # type: ignore[index]  # the tuple above
    assert job.status() is Status.SUCCEEDED
    assert as_plain[0].status() is Status.TODO
    for stored in (waiting, everything_stored(hub)):
        assert "hunter2" not in stored
        assert "90210123" not in stored
        assert "2026a" in stored
        assert "ann" in stored


def test_secrets_come_back_from_copy_and_asyncpg_and_schedules(hub: Hub) -> None:
    seen: list[str] = []

    @hub.task
    def send(key: Encrypted[str]) -> None:
        seen.append(key)

    @hub.cron("0 2 * * *", arguments={"key": Secret("for cron")})
    def nightly(key: Secret[str]) -> None:
        seen.append(key.reveal())

    async def by_asyncpg() -> None:
        engine = create_async_engine(hub.url.set(drivername="postgresql+asyncpg"))
        async with AsyncSession(engine) as session, session.begin():
            await send.options(session=session).defer_async(key="by asyncpg")
        await engine.dispose()

    send.defer_many([{"key": f"copy {n}"} for n in range(3)])
    asyncio.run(by_asyncpg())
    hub.crons.run(nightly.name)
    work(hub)

    assert sorted(seen) == ["by asyncpg", "copy 0", "copy 1", "copy 2", "for cron"]


def test_a_secret_is_masked_in_the_error_the_traceback_the_log_and_hooks(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[JobEvent] = []
    hub.on("job.failed", told.append)

    @hub.task
    def log_in(ctx: Context, password: Secret[str]) -> None:
        ctx.log.warning("trying %s", password.reveal())
        ctx.log.warning("as JSON %s", json.dumps({"p": password.reveal()}))
        try:
            raise KeyError(password.reveal())
        except KeyError as error:
            ctx.log.exception("caught %r", password)
            raise ValueError(f"refused: {password.reveal()}") from error

    with caplog.at_level(logging.INFO):
        job = log_in.defer(Secret(PASSWORD))
        work(hub)

    [attempt] = job.attempts()
    assert attempt.error_message == "refused: ***"
    assert "KeyError: '***'" in (attempt.traceback or "")
    assert "trying ***" in (attempt.log or "")
    assert "caught Secret(…)" in (attempt.log or "")
    assert "hunter2" not in everything_stored(hub)
    assert "hunter2" not in caplog.text
    assert str(told[0].error) == "ValueError: refused: ***"
    assert told[0].error is not None
    assert told[0].error.__traceback__ is None


def test_a_secret_cut_by_a_long_message_leaves_no_half(hub: Hub) -> None:
    @hub.task
    def log_in(password: Encrypted[str]) -> None:
        raise ValueError("x" * 990 + password + "y" * 2000)

    job = log_in.defer(PASSWORD)
    work(hub)

    assert "hunter" not in (job.attempts()[0].error_message or "")


def test_a_child_process_is_given_the_secret_and_masks_it(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.settings.database_url is not None
    monkeypatch.setenv("TASKHUB_DATABASE_URL", hub.settings.database_url)
    monkeypatch.setenv("TASKHUB_SECRET_KEYS", OLD)
    hub.add(crunching.work)
    monkeypatch.setattr(crunching, "hub", hub)
    good = crunching.log_in.defer(Secret(PASSWORD), "right-pin")
    bad = crunching.log_in.defer(Secret(PASSWORD), "wrong-pin")

    work(hub)

    assert good.result(timeout=0) is True
    [attempt] = bad.attempts()
    assert attempt.error_message == "refused: ***"
    assert "logging in with *** and ***" in (attempt.log or "")
    stored = everything_stored(hub)
    assert "hunter2" not in stored
    assert "wrong-pin" not in stored


def test_without_a_key_a_secret_is_refused_where_it_is_deferred(hub: Hub) -> None:
    @hub.task
    def log_in(password: Secret[str]) -> None: ...

    with_keys(hub)
    with pytest.raises(NoSecretKey, match=r"secret_keys must name a key .*taskhub secrets new-key"):
        log_in.defer(Secret(PASSWORD))
    with_keys(hub, OLD)

    with pytest.raises(
        TypeError, match="password must be str, got a secret of type dict"
    ) as raised:
        log_in.defer(Secret({"hunter2": 1}))  # type: ignore[arg-type]  # what is to be refused
    assert "hunter2" not in str(raised.value)
    assert raised.value.__context__ is None


@pytest.mark.parametrize("here", [(), (NEW,), (NEW, OLD.split(":")[0] + ":" + NEW.split(":")[1])])
def test_a_job_whose_key_is_missing_waits_and_runs_when_it_is_there(
    hub: Hub, here: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    @hub.task
    def log_in(password: Secret[str]) -> int:
        return len(password.reveal())

    job = log_in.defer(Secret("four"))
    with_keys(hub, *here)
    work(hub)

    assert job.status() is Status.TODO
    [attempt] = job.attempts()
    assert (attempt.outcome, attempt.attempt) == ("snoozed", 1)
    assert "secret_keys must " in (attempt.error_message or "")

    with_keys(hub, NEW, OLD)
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub.procrastinate_jobs SET scheduled_at = NULL, gate = 0")
        )
    work(hub)
    assert job.result(timeout=0) == 4


def test_a_moved_or_changed_secret_fails_its_job(hub: Hub) -> None:
    @hub.task
    def log_in(password: Encrypted[str], pin: Encrypted[str]) -> None: ...

    job = log_in.defer("first", "second")
    with hub.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE taskhub.procrastinate_jobs SET args = jsonb_build_object("
                "'password', args -> 'pin', 'pin', args -> 'password')"
            )
        )
    work(hub)

    assert job.status() is Status.FAILED
    [attempt] = job.attempts()
    assert attempt.error_class == "taskhub.queue.reading.UnreadableArguments"
    assert "was changed, or is not of this task and parameter" in (attempt.error_message or "")


@dataclass
class Login:
    password: Secret[str]


def _in_a_list(password: list[Secret[str]]) -> None: ...
def _in_a_dataclass(login: Login) -> None: ...
def _one_of_two(password: Secret[str] | int) -> None: ...
def _any_number(**passwords: Secret[str]) -> None: ...
def _as_result(password: Secret[str]) -> Encrypted[str]:
    return password.reveal()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_in_a_list, "'password' must be a secret as a whole"),
        (_in_a_dataclass, "'login' must be a secret as a whole"),
        (_one_of_two, "'password' must be a secret as a whole"),
        (_any_number, "must have a name of its own, got \\*\\*passwords"),
        (_as_result, "a task must not return a secret"),
    ],
)
def test_a_secret_that_would_not_be_kept_is_refused_at_declaration(
    hub: Hub, function: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        hub.task(function)


def test_no_cache_is_keyed_by_what_is_encrypted(hub: Hub) -> None:
    def log_in(account: int, password: Encrypted[str]) -> None: ...

    with pytest.raises(TypeError, match="cache must go without secret parameters, got password"):
        hub.task(cache="1h")(log_in)


@pytest.mark.parametrize("option", ["lock", "queueing_lock", "limit", "fair_key", "unique"])
def test_no_template_names_a_secret(hub: Hub, option: str) -> None:
    def log_in(password: Encrypted[str]) -> None: ...

    with pytest.raises(ValueError, match=f"{option} must name no secret parameter, got 'password'"):
        hub.task(name="declared", **{option: "login:{password}"})(log_in)  # type: ignore[call-overload]  # by name
    task = hub.task(log_in)
    with pytest.raises(ValueError, match="must name no secret parameter"):
        task.options(**cast(Any, {option: "login:{password}"}))


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret(PASSWORD)

    assert f"{secret} {secret!r} {secret!s:>12} {[secret]}".count("Secret(…)") == 4
    assert "hunter2" not in f"{secret} {secret!r}"
    assert OLD not in repr(Settings(secret_keys=(OLD,)))
    assert pickle.loads(pickle.dumps(secret)).reveal() == PASSWORD  # noqa: S301 - our own bytes
    assert secret == Secret(PASSWORD) != Secret("other")
    assert {secret: 1}[Secret(PASSWORD)] == 1
    assert secret != PASSWORD
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_jobs_are_encrypted_anew_under_the_first_key(hub: Hub) -> None:
    seen: list[str] = []

    @hub.task
    def log_in(password: Secret[str], fails: bool = False) -> None:
        if fails:
            raise ValueError
        seen.append(password.reveal())

    failed = log_in.defer(Secret("failed"), True)
    work(hub)
    waiting = log_in.defer_many([{"password": f"waits {n}"} for n in range(3)])
    with_keys(hub, NEW, OLD)
    with hub.engine.begin() as connection:
        connection.execute(
            text("SELECT FROM taskhub.procrastinate_jobs WHERE id = :id FOR UPDATE"),
            {"id": waiting[1].id},
        )
        first = list(rotation.rotate(hub))
    uses = {use.key: use for use in rotation.key_use(hub)}
    second = list(rotation.rotate(hub))

    assert [batch.jobs for batch in first] == [3]
    assert (uses["2026b"].state, uses["2026b"].waiting, uses["2026b"].others) == ("first", 2, 1)
    assert (uses["2026a"].state, uses["2026a"].waiting) == ("known", 1)
    assert [batch.jobs for batch in second] == [1]
    with_keys(hub, NEW)
    work(hub)
    assert sorted(seen) == ["waits 0", "waits 1", "waits 2"]
    assert failed.status() is Status.FAILED
    assert [use.key for use in rotation.key_use(hub)] == ["2026b"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("2026a",), "key 1 must be ID:BASE64"),
        (("a b:QUJD",), "key 1 must be ID:BASE64"),
        (("2026a:QUJD",), "key '2026a' must be base64 of 32 bytes, got 3"),
        ((OLD, OLD), "ids that differ, got '2026a' twice"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_and_not_shown(
    given: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BadSetting, match=message) as raised:
        keys.keyring(Settings(secret_keys=given))

    assert "QUJD" not in str(raised.value)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)

    with pytest.raises(NoSecretKey, match=r"pip install 'taskhub\[secrets\]'"):
        keys.Keyring(keys.parse((OLD,), "secret_keys"))


def test_keys_are_read_from_a_file(tmp_path: Any) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# the newest first\n{NEW}\n\n{OLD}\n")

    assert keys.keyring(Settings(secret_keys_file=path)).ids == ("2026b", "2026a")
    with pytest.raises(BadSetting, match="give secret_keys or secret_keys_file, not both"):
        keys.keyring(Settings(secret_keys_file=path, secret_keys=(OLD,)))
