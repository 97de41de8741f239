"""`taskhub why`: one sentence on why a job is where it is."""

from __future__ import annotations

import click

from taskhub.cli.options import Asked, verb
from taskhub.cli.output import visible, write_object
from taskhub.queue import insight


@verb("why", examples=("taskhub why 42", "taskhub why 42 -o json"))
@click.argument("job_id", type=click.IntRange(min=1))
def why(asked: Asked, job_id: int) -> None:
    """Why a job waits, runs or has ended: one sentence, and with -o json the facts that prove it."""
    hub, _ = asked.hub(tasks=False)
    found = insight.why(hub, job_id)
    hub.close()
    if asked.output in (None, "table"):
        # Also in a pipe: a sentence is data as it stands.
        click.echo(visible(found.sentence))
        return
    told = {
        "id": found.job_id,
        "status": found.status,
        "sentence": found.sentence,
        "reasons": [
            {"reason": one.name, "clause": one.clause, "facts": one.facts} for one in found.reasons
        ],
    }
    write_object(asked, told)
