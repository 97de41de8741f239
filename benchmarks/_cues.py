"""The inside of a side's worker: say that it is ready, wait for the word, tell what happened.

Knows nothing but the standard library: the peers' interpreter imports it too.
"""

import json
import sys
import time
from typing import Any


def wait_for_go() -> None:
    """Say "ready" and wait for the line that starts the clock."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


def tell(**found: Any) -> None:
    """End with a line of JSON; `ended` is now unless given."""
    sys.stdout.write(json.dumps({"ended": time.monotonic(), **found}) + "\n")
    sys.stdout.flush()
