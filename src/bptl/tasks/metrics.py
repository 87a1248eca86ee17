"""What a process counts about the stations of the walk; docs/reference/metrics.md is made from this.

Labels are engines and services (their names), topics of mappings, and words of ours: never a task, a case or a person.
"""

from __future__ import annotations

from bptl.connections.models import WITHOUT_ENGINE
from bptl.lib.instruments import Registry

PROCESS = Registry()
"""Numbers of one process; summed up by whoever reads them."""

_TASK = ("engine", "topic")
_OUTCOME = (*_TASK, "outcome")

_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG = (0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0)

FETCHED = PROCESS.counter(
    "bptl_tasks_fetched_total",
    "External tasks that came with a poll and were recorded.",
    labels=_TASK,
    told_by="poll",
)
POLLS = PROCESS.counter(
    "bptl_polls_total",
    "Polls of an engine by how they ended: with tasks, empty, or failed.",
    labels=("engine", "result"),
    told_by="poll",
)
FETCH_SECONDS = PROCESS.histogram(
    "bptl_fetch_seconds",
    "How long polls that brought tasks took, the wait for the first of them included.",
    labels=("engine",),
    told_by="poll",
    bounds=(*_QUICK, 60.0),
)
STARTED = PROCESS.counter(
    "bptl_tasks_started_total", "Tasks that were claimed and got a place.", labels=_TASK, told_by="work"
)
QUEUE_SECONDS = PROCESS.histogram(
    "bptl_task_queue_seconds",
    "How long tasks waited here from the record of their lease until they were claimed.",
    labels=_TASK,
    told_by="work",
    bounds=_LONG,
)
RUN_SECONDS = PROCESS.histogram(
    "bptl_task_run_seconds", "How long work units ran.", labels=_TASK, told_by="work", bounds=_LONG
)
PERFORMED = PROCESS.counter(
    "bptl_tasks_performed_total",
    "Runs that ended with an outcome (completed, failed, thrown), once it was stored.",
    labels=_OUTCOME,
    told_by="work",
)
FAILED = PROCESS.counter(
    "bptl_tasks_failed_total",
    "Runs that failed, by whether retries are left: with none the task is an incident.",
    labels=(*_TASK, "retries"),
    told_by="work",
)
UNCERTAIN = PROCESS.counter(
    "bptl_tasks_uncertain_total",
    "Runs that left an effect open of which nobody can say whether it happened: a person decides.",
    labels=_TASK,
    told_by="work",
)
WAITING = PROCESS.counter(
    "bptl_tasks_waiting_total",
    "Runs that ended by waiting for an answer from outside.",
    labels=_TASK,
    told_by="work",
)
DELIVERED = PROCESS.counter(
    "bptl_tasks_delivered_total",
    "Outcomes that the engine took, or must have taken.",
    labels=_OUTCOME,
    told_by="work",
)
DELIVERY_SECONDS = PROCESS.histogram(
    "bptl_task_delivery_seconds",
    "How long outcomes took from the end of the run, or from when this process took the report over, until the engine "
    "had taken them and that was stored.",
    labels=("engine",),
    told_by="work",
    bounds=_QUICK,
)
REPORTS = PROCESS.counter(
    "bptl_reports_total",
    "Tries to report an outcome, by what the answer meant (taken, assumed, lost, lease_ended, later, refused, "
    "unacceptable).",
    labels=("engine", "answer"),
    told_by="work",
)
REPORT_RETRIES = PROCESS.counter(
    "bptl_report_retries_total",
    "Tries to report an outcome that was reported before.",
    labels=("engine",),
    told_by="work",
)
RETURNED = PROCESS.counter(
    "bptl_tasks_returned_total",
    "Leases that this process ended without a report, by why (given_back, expired, refused, process_dead): the engine "
    "offers the task again.",
    labels=(*_TASK, "why"),
    told_by="poll, work",
)
LOST = PROCESS.counter(
    "bptl_tasks_lost_total",
    "Tasks of ours that their engine no longer knew.",
    labels=_TASK,
    told_by="poll, work",
)
EXTENSIONS = PROCESS.counter(
    "bptl_lock_extensions_total",
    "Tries to extend a lock, by how they ended: extended, failed (tried again while the lock lasts), or lost.",
    labels=("engine", "result"),
    told_by="poll, work",
)
LOCK_LEFT = PROCESS.histogram(
    "bptl_lock_left_seconds",
    "How long locks would still have lasted when the report of their task was answered.",
    labels=("engine",),
    told_by="work",
    bounds=(0.0, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 240.0, 600.0),
)
LOCKS_HELD = PROCESS.gauge("bptl_locks_held", "Locks that this process keeps alive.", told_by="poll, work")
LOCK_LEFT_RATIO = PROCESS.gauge(
    "bptl_lock_left_ratio",
    "What is left of the lock that runs out first, as a part of its length: extended at two thirds, so less than half "
    "means that extensions fail; absent while no lock is held.",
    told_by="poll, work",
)
PLACES = PROCESS.gauge(
    "bptl_places",
    "Places of this worker: free, taken by a unit, or written_off because its unit did not end.",
    labels=("state",),
    told_by="work",
)
SERVICE_CALLS = PROCESS.counter(
    "bptl_service_calls_total",
    "Calls of work units to services, by the class of the answer's status (2xx to 5xx, or none without an answer).",
    labels=("service", "status"),
    told_by="work",
)
SERVICE_SECONDS = PROCESS.histogram(
    "bptl_service_call_seconds",
    "How long calls of work units to services took.",
    labels=("service",),
    told_by="work",
    bounds=_QUICK,
)
LOOP_SILENT = PROCESS.gauge(
    "bptl_loop_silent_seconds",
    "How long ago the last step of a loop went well; some rest for an hour as long as nobody wakes them.",
    labels=("loop",),
    told_by="poll, work, beat",
)
LOOP_OVERDUE = PROCESS.gauge(
    "bptl_loop_overdue_seconds",
    "How long a step of a loop has been due without going well: 0 while it rests, and small while it works.",
    labels=("loop",),
    told_by="poll, work, beat",
)
LOOP_FAILURES = PROCESS.counter(
    "bptl_loop_failures_total",
    "Steps of a loop that failed; each is tried again.",
    labels=("loop",),
    told_by="poll, work, beat",
)
INFO = PROCESS.gauge(
    "bptl_process_info",
    "Always 1: the kind and the version of this process.",
    labels=("kind", "version"),
    told_by="poll, work, beat",
)

_names: dict[int, str] = {}


def name_engine(engine_id: int, name: str) -> None:
    """From now on numbers of this engine carry this name; whoever reads its row says so."""
    _names[engine_id] = name


def engine(engine_id: int | None) -> str:
    """The label of an engine, or what stands for it where there is none."""
    return WITHOUT_ENGINE if engine_id is None else _names.get(engine_id) or str(engine_id)
