"""A worker of the mail family: `python mail_workshop.py URL SMTP_PORT`."""

import sys

from taskhub import Hub, settings
from taskhub.mail import tasks

url, port = sys.argv[1:3]
hub = Hub(
    settings=settings.load(
        {
            "database_url": url,
            "smtp_port": port,
            "mail_from": "kb@example.com",
            "lease_seconds": "1",
            "poll_seconds": "0.05",
            "concurrency": "2",
        }
    )
)
hub.add(tasks.mail)

if __name__ == "__main__":
    print("ready", flush=True)
    hub.run_worker(queues=["mail"])
