"""A worker of the knowledge base that is killed: `python keeper.py URL`."""

import dataclasses
import logging
import sys

from taskhub import app
from taskhub.settings import Settings


def main() -> None:
    """Work until somebody ends it; a dead worker's jobs are taken over after a second."""
    logging.basicConfig(level=logging.INFO)
    quick = Settings(database_url=sys.argv[1], lease_seconds=1, poll_seconds=0.05, concurrency=4)
    app.build(dataclasses.replace(quick)).run_worker()


if __name__ == "__main__":
    main()
