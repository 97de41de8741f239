"""`taskhub demo`: the main job on real documents."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import taskhub
from taskhub import app, migrations
from taskhub.cli.errors import Failed
from taskhub.cli.options import Asked, verb


def handbook() -> Path:
    """The project's own documents: inside the installed package, or in the checkout."""
    here = Path(taskhub.__file__).parent
    inside = here / "_handbook"
    return inside if inside.is_dir() else here.parents[1] / "examples" / "handbook"


@verb("demo", examples=("taskhub demo", "taskhub demo ~/documents --question 'Who pays?'"))
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--question", "questions", multiple=True, help="Ask this instead; may be repeated.")
def demo(asked: Asked, folder: Path | None, questions: tuple[str, ...]) -> None:
    """Index a folder of documents, search it, send mails, repair a failure, clean up; all for real.

    The last line of the output is one JSON object for scripts.
    """
    from taskhub.demo import BadFolder, story
    from taskhub.demo.screen import Screen
    from taskhub.demo.stage import DemoBroken

    # A project's own hub need not have the tasks that are shown here.
    asked.app = app.BUILT_IN
    hub, _ = asked.hub(embedded=True)
    screen = Screen(colors=asked.colors(sys.stdout))
    if left_out := getattr(hub, "left_out", ()):
        raise Failed("; ".join(left_out))
    screen.line(f"{app.BUILT_IN} on {hub.url.render_as_string()}")
    report = migrations.upgrade(hub.engine, hub.settings)
    if report.left_out:
        raise Failed("; ".join(report.left_out))
    try:
        counted = story.tell(hub, folder or handbook(), questions or story.QUESTIONS, screen)
    except BadFolder as error:
        raise click.UsageError(str(error)) from error
    except DemoBroken as error:
        raise Failed(f"the demo did not go as it should: {error}") from error
    finally:
        hub.close()
    screen.heading(6, "What to type next")
    screen.line("  bin/taskhub status                     how the queues stand")
    screen.line("  bin/taskhub ls --status succeeded      what was done")
    screen.line("  bin/taskhub document search 'your question' --dataset handbook --tenant demo")
    screen.line("  (with TASKHUB_DATABASE_URL=embedded in the environment)")
    screen.raw(story.last_line(counted))
