"""Nothing but the long poll may go to its queue: what stood behind it would wait for half an hour."""

from __future__ import annotations

import pytest

import bptl.workers.jobs
import bptl.workers.schedule  # noqa: F401 - both add to the app
from bptl.workers.app import LONG_POLLING, WORK, app, configuration
from bptl.workers.local import WrongQueue

OURS = sorted(name for name in app.tasks if name.startswith("bptl."))


def queue_of(job: str, **options: object) -> str:
    """Where the router of Celery sends a job."""
    return str(app.amqp.router.route(options, job)["queue"].name)


def test_the_router_sends_the_poll_to_its_own_queue_and_every_other_job_to_the_workers() -> None:
    work = dict.fromkeys(("bptl.retain", "bptl.sweep", "bptl.tell", "bptl.work"), WORK)
    assert {job: queue_of(job) for job in OURS} == {"bptl.poll": LONG_POLLING, **work}
    assert queue_of("a.job.of.another.package") == WORK
    assert queue_of("celery.backend_cleanup") == WORK


def test_beat_sends_every_job_to_the_queue_of_the_router() -> None:
    for entry in app.conf.beat_schedule.values():
        assert entry["options"]["queue"] == queue_of(entry["task"])


@pytest.mark.parametrize("job", ["bptl.poll", "bptl.retain", "bptl.sweep", "bptl.tell", "bptl.work"])
def test_a_process_refuses_a_job_that_is_not_of_its_queue(job: str) -> None:
    with pytest.raises(WrongQueue):
        app.tasks[job]()


def test_celery_knows_its_own_settings_and_no_secret_of_the_others() -> None:
    assert configuration()["task_acks_late"] is False
    assert not {name for name in app.conf.table(censored=False) if name.isupper()}
