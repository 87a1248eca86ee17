"""The Camunda external-task client from PyPI, used as its own examples do; runs in a virtual environment of its own.

python python_client.py --url http://127.0.0.1:20000/engine-rest --topic t --fetch 10
"""

from __future__ import annotations

import argparse

from camunda.external_task.external_task import ExternalTask, TaskResult
from camunda.external_task.external_task_worker import ExternalTaskWorker


def complete(task: ExternalTask) -> TaskResult:
    """Do nothing."""
    return task.complete({})


def main() -> None:
    """Read the options and run until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--fetch", type=int, required=True, help="tasks a fetch")
    options = parser.parse_args()
    config = {"maxTasks": options.fetch, "lockDuration": 300_000, "asyncResponseTimeout": 20_000, "sleepSeconds": 1}
    ExternalTaskWorker(worker_id="python-client", base_url=options.url, config=config).subscribe(
        [options.topic], complete, variables=[]
    )


if __name__ == "__main__":
    main()
