"""What the knowledge base, mails, alerts and the audit hold in the shop, with names as nobody should give."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from taskhub import Hub
from taskhub.kb.tasks import kb
from taskhub.kb.ways_in import annotations, documents
from taskhub.mail import ways_in
from taskhub.mail.tasks import mail
from taskhub.queue import audit
from taskhub.system import statistics
from tests.kb.makers import make_app, make_dataset
from tests.system.test_statistics import history


def stock(hub: Hub, folder: Path, payload: str) -> dict[str, str]:
    """Fill the tables by the ways in; ids for addresses, once a worker has run."""
    hub.add(kb)
    hub.add(mail)
    hub.every(timedelta(hours=1), name=f"sweep {payload}", id=payload, queue=payload[:20])(_sweep)
    with hub.transaction() as session:
        dataset, app = make_dataset(session), make_app(session)
        dataset.name = app.name = payload
        ids = {"dataset": str(dataset.id), "app": str(app.id)}
        dataset_id, app_id = dataset.id, app.id
    file = folder / "keys.txt"
    file.write_text(f"{payload} The key hangs behind the clock.", encoding="utf-8")
    ids["document"] = str(documents.add_document(hub, dataset_id, file))
    strange = folder / f"{payload.replace('/', '')}.odd"
    strange.write_text(payload, encoding="utf-8")
    documents.add_document(hub, dataset_id, strange)
    annotations.add_annotation(hub, app_id, payload, payload)
    [mail_id] = ways_in.send_notice(hub, ["mei@example.com"], payload, [payload])
    ids["mail"] = str(mail_id)
    _watched(hub, payload)
    return ids


def _sweep() -> None: ...


def readdress(hub: Hub, payload: str) -> None:
    """The mails that have gone went to somebody called so: an address that would be refused today."""
    with hub.engine.begin() as connection:
        connection.execute(
            text("UPDATE taskhub_kb.mail_outbox SET recipient = :told"), {"told": payload}
        )


def _watched(hub: Hub, payload: str) -> None:
    hub.pause(queue=payload[:30], reason=payload)
    hub.limit(payload, per_second=5)
    audit.record(
        hub, actor=payload, source="cli", action=payload, target={payload: payload}, reason=payload
    )
    with hub.engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO taskhub_kb.alerts (key, severity, text, remedy)
                VALUES (:told, 'critical', :told, :told)
            """),
            {"told": payload},
        )
    for hours in range(2, 9):
        history(hub, hours, *["succeeded"] * hours, "failed", task="send", seconds=hours)
    history(hub, 3, "failed", task=payload)
    statistics.roll_up(hub)
