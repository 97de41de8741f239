"""Arguments are the user's data; they stay out of the logs."""

from tests.faults.conftest import Jobs, Start

SECRET = "canary-7f3a"  # noqa: S105 - the test looks for it


def test_procrastinate_logs_the_arguments(plain_jobs: Jobs, start_plain: Start) -> None:
    job_id = plain_jobs.defer("answer", text=SECRET)
    worker = start_plain()

    plain_jobs.becomes(job_id, "succeeded")

    worker.logs(SECRET)


def test_arguments_and_results_are_in_no_log(jobs: Jobs, start: Start) -> None:
    done = jobs.defer("answer", text=SECRET)
    unreadable = jobs.defer("answer", nomber=SECRET)
    unknown = jobs.defer("unknown", text=SECRET)
    failed = jobs.defer("fail", reason="a reason of its own")
    worker = start()
    jobs.ends(done, "succeeded")
    jobs.ends(unreadable, "failed")
    jobs.ends(failed, "failed")

    worker.terminate()
    worker.ends()

    assert jobs.status(unknown) == "todo"
    assert SECRET not in worker.logged
