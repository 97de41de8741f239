"""Settings: which place wins, and what a mistake is told."""

from pathlib import Path

import pytest

from taskhub.settings import BadSetting, load


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.taskhub]\nconcurrency = 2\nschema = "a"\nhome = "x"\n'
    )
    (tmp_path / "taskhub.toml").write_text(
        'concurrency = 3\nschema = "b"\n[routes]\n"mail.*" = "mail"\n'
    )
    return tmp_path


def test_flag_wins_over_environment_over_file_over_default(project: Path) -> None:
    settings = load({"schema": "flagged"}, environ={"TASKHUB_CONCURRENCY": "4"}, directory=project)

    assert settings.schema == "flagged"
    assert settings.concurrency == 4
    assert settings.home == Path("x")
    assert settings.lease_seconds == 30.0
    assert settings.sources["schema"] == "flag"
    assert settings.sources["concurrency"] == "environment"
    assert settings.sources["home"].endswith("pyproject.toml")
    assert "lease_seconds" not in settings.sources


def test_the_nearest_file_above_the_working_directory_counts(project: Path) -> None:
    inner = project / "src" / "package"
    inner.mkdir(parents=True)

    assert load(environ={}, directory=inner).schema == "b"


def test_routes_come_from_the_file_or_from_one_variable(project: Path) -> None:
    assert load(environ={}, directory=project).routes == {"mail.*": "mail"}
    given = load(environ={"TASKHUB_ROUTES": "mail.*=post,*=rest"}, directory=project)
    assert given.routes == {"mail.*": "post", "*": "rest"}


def test_a_flag_that_was_not_given_changes_nothing(project: Path) -> None:
    assert load({"schema": None}, environ={}, directory=project).schema == "b"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "TASKHUB_CONCURRENCY",
            "many",
            "concurrency must be of type int, got 'many' .environment.",
        ),
        ("TASKHUB_CONCURRENCY", "0", "concurrency must be 1 or more, got 0"),
        ("TASKHUB_SCHEMA", "a; drop", "schema must be a lower-case SQL name"),
        ("TASKHUB_SCHEMA", "taskhub_kb", "schema and kb_schema must differ"),
        ("TASKHUB_SMTP_SECURITY", "ssl", "smtp_security must be plain, starttls or tls"),
        ("TASKHUB_LEASE_SECONDS", "0", "lease_seconds must be above 0"),
        ("TASKHUB_IDLE_POLL_SECONDS", "-1", "idle_poll_seconds must be above 0 and finite, got -1"),
        ("TASKHUB_POLL_SECONDS", "nan", "poll_seconds must be above 0 and finite, got nan"),
        ("TASKHUB_POLL_SECONDS", "inf", "poll_seconds must be above 0 and finite, got inf"),
        ("TASKHUB_DRAIN_SECONDS", "-1", "drain_seconds must be 0 or more and finite, got -1"),
        ("TASKHUB_NOTIFY", "maybe", "notify must be of type bool, got 'maybe' .environment."),
        ("TASKHUB_SEGMENT_OVERLAP_TOKENS", "500", "segment_overlap_tokens must be"),
    ],
)
def test_a_bad_value_is_refused_with_its_place(
    tmp_path: Path, variable: str, value: str, message: str
) -> None:
    with pytest.raises(BadSetting, match=message):
        load(environ={variable: value}, directory=tmp_path)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("true", True), ("1", True), ("Yes", True), ("false", False), ("0", False), (" no ", False)],
)
def test_a_switch_is_read_from_the_usual_words(tmp_path: Path, word: str, meant: bool) -> None:
    assert load(environ={"TASKHUB_NOTIFY": word}, directory=tmp_path).notify is meant


def test_a_switch_in_a_file_or_a_flag_is_a_boolean(tmp_path: Path) -> None:
    (tmp_path / "taskhub.toml").write_text("notify = false\n")

    assert load(environ={}, directory=tmp_path).notify is False
    assert load({"notify": True}, environ={}, directory=tmp_path).notify is True


def test_a_worker_listens_where_the_jobs_are_unless_told_otherwise(tmp_path: Path) -> None:
    settings = load(environ={"TASKHUB_LISTEN_URL": "postgresql://direct/app"}, directory=tmp_path)

    assert settings.listen_url == "postgresql://direct/app"
    assert load(environ={}, directory=tmp_path).listen_url is None


def test_an_unknown_name_in_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taskhub.toml").write_text("concurency = 3\n")

    with pytest.raises(BadSetting, match=r"taskhub\.toml sets 'concurency', which is no setting"):
        load(environ={}, directory=tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taskhub.toml").write_text("= 3\n")

    with pytest.raises(BadSetting, match=r"taskhub\.toml is not valid TOML"):
        load(environ={}, directory=tmp_path)
