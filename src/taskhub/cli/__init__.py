"""The command line: `taskhub`, one group of verbs a file."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Any

import click

from taskhub.cli.options import Asked, Verbs

# Which file holds which verb: only the one that is asked for is loaded.
VERBS = {
    "up": "up", "worker": "worker", "dashboard": "dashboard", "demo": "demo",
    "status": "look", "queues": "look", "workers": "look", "ls": "look", "show": "look",
    "why": "why", "doctor": "watch", "alerts": "watch", "stats": "watch", "metrics": "metrics",
    "retry": "act", "retry-failed": "act", "cancel": "act", "prune": "act", "defer": "defer", "cron": "cron",
    "limits": "hold", "pause": "hold", "resume": "hold", "weigh": "hold", "secrets": "secrets",
    "db": "database", "dataset": "knowledge", "document": "knowledge", "segment": "segments",
    "embedding": "embedding", "app": "apps", "annotation": "annotations", "clean": "cleaning",
    "mail": "mail",
    "drain": "fleet", "rescue": "fleet",
    "config": "system", "version": "system", "completion": "completion",
    "audit": "trail", "top": "top", "tail": "tail", "bench": "bench",
}  # fmt: skip


class LazyVerbs(Verbs):
    """The top group, whose verbs are loaded when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order of the listing above."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of this name, or None."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"taskhub.cli.{VERBS[cmd_name]}")
        found: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; of an unknown verb it also says which ones were probably meant."""
        # Click would look among the verbs that are loaded, and none is.
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            close = difflib.get_close_matches(name, VERBS)
            told = f"; did you mean {' or '.join(close)}?" if close else ""
            raise click.UsageError(f"no such command {name!r}{told}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    "taskhub",
    cls=LazyVerbs,
    examples=(
        "taskhub up",
        "taskhub worker --queue mail",
        "taskhub status",
        "taskhub retry-failed --queue mail --dry-run",
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.pass_context
def taskhub(ctx: click.Context) -> None:
    """Background jobs that commit with your data, on the one Postgres you already have."""
    ctx.ensure_object(Asked)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    from taskhub.cli.errors import report

    asked = Asked()
    code: Any = 0
    out = sys.stdout
    try:
        code = taskhub.main(args=arguments, obj=asked, standalone_mode=False, prog_name="taskhub")
    except SystemExit as ended:
        # Where the reader has gone, as in `taskhub ls | head`, click wraps stdout and calls it a failure.
        code = ended.code if sys.stdout is out else 0
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our data has gone, and that is no error
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place that tells the user
        code = report(error, verbose=asked.verbose)
    finally:
        for hub in asked.hubs:
            hub.close()
    sys.exit(code if isinstance(code, int) else 0)
