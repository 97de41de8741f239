"""A worker of the built-in knowledge base, which the fault tests kill: `python library.py URL BYTES`."""

import logging
import sys

from taskhub import app, settings

logging.basicConfig(level=logging.INFO)
hub = app.build(
    settings.load(
        {
            "database_url": sys.argv[1],
            "lease_seconds": "1",
            "poll_seconds": "0.1",
            "concurrency": "2",
            "drain_seconds": "5",
            # 0: every file goes the long way, through a process.
            "small_text_bytes": sys.argv[2],
        }
    )
)
hub.run_worker()
