"""The dataset that a command names."""

from taskhub.cli.errors import Failed
from taskhub.queue import Hub

TENANT = "default"


def find_dataset(hub: Hub, name: str, tenant: str) -> int:
    """The id of the tenant's dataset of this name.

    Raises:
        Failed: there is none.
    """
    from taskhub.accounts.tenants import ensure
    from taskhub.kb.datasets import create as datasets

    with hub.transaction() as session:
        found = datasets.find(session, ensure(session, tenant).id, name)
        if found is None:
            raise Failed(f"dataset {name!r} does not exist; run `taskhub dataset create {name}`")
        return found.id
