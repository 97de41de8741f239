"""How many examples a property is tried with: few among all tests, many where `make faults` asks."""

import os


def examples(few: int, many: int) -> int:
    """`many` where TEST_EXAMPLES=many is set, as `make faults` does, else `few`."""
    return many if os.environ.get("TEST_EXAMPLES") == "many" else few
