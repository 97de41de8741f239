"""Mails from the command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskhub import Hub
from taskhub.mail import tasks, ways_in
from taskhub.mail.senders.smtp import close_idle
from taskhub.settings import Settings
from tests.cli.conftest import Run
from tests.mail.server import Server


@pytest.fixture(autouse=True)
def built_in(project: Path) -> None:
    """The built-in hub, which has the mails."""
    (project / "taskhub.toml").write_text("")


@pytest.fixture
def smtp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    server.start()
    monkeypatch.setenv("TASKHUB_SMTP_PORT", str(server.settings().smtp_port))
    yield server
    close_idle()
    server.stop()


@pytest.fixture
def office(database: str, smtp: Server) -> Iterator[Hub]:
    """A hub with the mail family, for what commands look at."""
    hub = Hub(settings=smtp.settings(database_url=database, poll_seconds=0.2))
    hub.add(tasks.mail)
    yield hub
    hub.close()


def test_a_mail_is_previewed_without_a_database(
    command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKHUB_MAIL_BRAND", "Handbook")

    text = command("mail", "preview", "reset_password", "--language", "zh-Hans")
    html = command("mail", "preview", "reset_password", "--html")

    assert text.stdout.startswith("Subject: 重置您的 Handbook 密码\n\nMei，您好：\n")
    assert "<html" not in text.stdout
    assert html.stdout.startswith("<!DOCTYPE html>")


def test_an_unknown_kind_of_mail_is_answered_with_those_there_are(command: Run) -> None:
    refused = command("mail", "preview", "pigeon")

    assert refused.returncode == 1
    assert "kind must be one of verify_email, account_exists" in refused.stderr


def test_a_test_mail_arrives(command: Run, smtp: Server) -> None:
    done = command("mail", "test", "mei@example.com", "-o", "json")

    assert json.loads(done.stdout)["recipient"] == "mei@example.com"
    assert [mail["Subject"] for mail in smtp.mails] == ["Test mail"]


def test_a_test_mail_that_is_refused_says_what_the_server_said(command: Run, smtp: Server) -> None:
    smtp.answers["RCPT"] = "550 relaying denied"

    refused = command("mail", "test", "mei@example.com")

    assert refused.returncode == 1
    assert "the server answered 550 relaying denied" in refused.stderr


def test_the_outbox_says_what_became_of_each_mail(command: Run, office: Hub, smtp: Server) -> None:
    smtp.refuses["gone@example.com"] = "550 no such person here"
    ways_in.send_notice(office, ["mei@example.com", "gone@example.com"], "News", ["one"])
    office.run_worker(wait=False)

    every = json.loads(command("mail", "ls", "-o", "json").stdout)
    refused = json.loads(command("mail", "ls", "--state", "refused", "-o", "json").stdout)
    shown = json.loads(command("mail", "show", str(refused[0]["id"]), "-o", "json").stdout)

    assert [(row["recipient"], row["shown"]) for row in every] == [
        ("gone@example.com", "refused"),
        ("mei@example.com", "sent"),
    ]
    assert [row["recipient"] for row in refused] == ["gone@example.com"]
    assert shown["error"] == "the server answered 550 no such person here"
    assert shown["job_status"] == "failed"


def test_a_refused_mail_is_sent_again(command: Run, office: Hub, smtp: Server) -> None:
    smtp.answers["RCPT"] = "550 not today"
    [mail_id] = ways_in.send_notice(office, ["mei@example.com"], "News", ["one"])
    office.run_worker(wait=False)
    smtp.answers.clear()

    done = command("mail", "resend", str(mail_id), "-o", "json")
    office.run_worker(wait=False)

    assert json.loads(done.stdout)["mail_id"] == mail_id
    assert [mail["Subject"] for mail in smtp.mails] == ["News"]
    again = command("mail", "resend", str(mail_id))
    assert again.returncode == 1
    assert f"mail {mail_id} was sent; use --again" in again.stderr


def test_a_mail_that_is_not_there_is_named(command: Run, office: Hub) -> None:
    refused = command("mail", "show", "7")

    assert refused.returncode == 1
    assert "mail 7 does not exist; see `taskhub mail ls`" in refused.stderr


def test_mails_go_into_a_directory_while_developing(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKHUB_MAIL_SENDER", "directory")
    monkeypatch.setenv("TASKHUB_MAIL_DIRECTORY", str(tmp_path / "mails"))

    command("mail", "test", "mei@example.com")

    assert len(list((tmp_path / "mails").glob("*.eml"))) == 1
    assert Settings().mail_sender == "smtp"
