"""A worker process that indexes: `python _index_worker.py URL MODEL SLOTS`, and its handle."""

import json
import resource
import signal
import subprocess
import sys

SLOTS = 4


def cpu_seconds() -> float:
    """Of this process and of children that have ended; Postgres is not among them."""
    ours = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(who) for who in ours]
    return sum(each.ru_utime + each.ru_stime for each in used)


class Worker:
    """One that has made what is made once in a process, and waits for jobs."""

    def __init__(self, url: str, model: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this program
            [sys.executable, __file__, url, model, str(SLOTS)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        self._stdout = self._process.stdout
        if self._stdout.readline() != "ready\n":
            raise SystemExit("a worker process did not start")

    @property
    def pid(self) -> int:
        return self._process.pid

    def end(self) -> dict[str, float]:
        """Have it end; the CPU seconds since it was ready, and its own peak memory."""
        self._process.send_signal(signal.SIGTERM)
        told: dict[str, float] = json.loads(self._stdout.readline())
        self._process.wait(timeout=60)
        return told


def main(url: str, model: str, slots: str) -> None:
    """Be the worker, until SIGTERM."""
    from taskhub import app, settings
    from taskhub.kb.segments.cut import cut
    from taskhub.kb.segments.rules import ProcessRule
    from taskhub.kb.segments.words import keywords
    from taskhub.kb.vectors.embedders import embedder

    embedder(model).embed(["warm"])
    list(cut(["warm"], ProcessRule()))
    keywords("warm")
    hub = app.build(settings.load({"database_url": url, "concurrency": slots}))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    used = cpu_seconds()
    hub.run_worker()
    hub.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"cpu": cpu_seconds() - used, "peak_mb": peak}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
