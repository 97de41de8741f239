"""Mails from the outbox through taskhub's worker, and the same mails in a bare loop, for `mail`."""

import argparse
import asyncio
import os
import time
from email.message import EmailMessage

from _cues import tell, wait_for_go

DOMAIN = "example.com"
WORDS = ["Hello,", "the handbook is not to be reached on Sunday from 8 to 9 h."]


def load(url: str, mails: int) -> None:
    """Post the mails."""
    os.environ["TASKHUB_DATABASE_URL"] = url
    from taskhub.app import build
    from taskhub.mail.post import post_many

    hub = build()
    recipients = [f"person{n}@{DOMAIN}" for n in range(mails)]
    with hub.transaction() as session:
        values = {"subject": "Maintenance on Sunday", "paragraphs": WORDS}
        post_many(session, hub.settings, "custom", recipients, **values)  # type: ignore[arg-type]  # of two types
    hub.close()


def work(url: str, port: int, concurrency: int) -> None:
    """Send what is there to its end, all outcomes stored."""
    os.environ |= {
        "TASKHUB_DATABASE_URL": url,
        "TASKHUB_SMTP_PORT": str(port),
        "TASKHUB_MAIL_FROM": f"kb@{DOMAIN}",
    }
    from taskhub.app import build

    hub = build()
    done = 0

    def succeeded(_: object) -> None:
        nonlocal done
        done += 1

    hub.on("job.succeeded", succeeded)
    _ = hub.engine
    wait_for_go()
    began = time.monotonic()
    hub.run_worker(queues=["mail"], concurrency=concurrency, wait=False)
    tell(seconds=time.monotonic() - began, done=done)


def bare(port: int, mails: int) -> None:
    """The same mails by the same library on one connection, nothing kept of them."""
    from taskhub.mail.kinds import sample
    from taskhub.mail.render import Brand, render

    written = render("custom", "en-US", Brand(), **sample("custom", "") | {"paragraphs": WORDS})
    wait_for_go()
    began = time.monotonic()
    asyncio.run(_send(port, mails, written.text, written.html))
    tell(seconds=time.monotonic() - began, done=mails)


async def _send(port: int, mails: int, text: str, html: str) -> None:
    from aiosmtplib import SMTP

    async with SMTP(hostname="127.0.0.1", port=port) as client:
        for n in range(mails):
            message = EmailMessage()
            message["From"] = f"taskhub <kb@{DOMAIN}>"
            message["To"] = f"person{n}@{DOMAIN}"
            message["Subject"] = "Maintenance on Sunday"
            message["Message-ID"] = f"<{n}@{DOMAIN}>"
            message.set_content(text)
            message.add_alternative(html, subtype="html")
            await client.send_message(message)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, names in (
        ("prepare", ("url",)),
        ("load", ("url", "mails")),
        ("work", ("url", "port", "concurrency")),
        ("bare", ("port", "mails")),
    ):
        added = verbs.add_parser(verb)
        for name in names:
            added.add_argument(name, type=str if name == "url" else int)
    asked = parser.parse_args()
    if asked.verb == "prepare":
        from _side_taskhub import prepare

        prepare(asked.url)
    elif asked.verb == "load":
        load(asked.url, asked.mails)
    elif asked.verb == "work":
        work(asked.url, asked.port, asked.concurrency)
    else:
        bare(asked.port, asked.mails)


if __name__ == "__main__":
    main()
