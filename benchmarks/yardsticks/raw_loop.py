"""The least that a worker can do with ordinary means: an upper bound for what a worker in Python can reach here.

One loop: fetch 100 tasks, complete them 32 at once over kept connections, again. With ``--record`` it also writes them
down, as one INSERT before and one UPDATE after each batch, both committed, in the database that the environment names
(PGHOST …). No leases, no retries, no units.

    python raw_loop.py --url http://127.0.0.1:20000/engine-rest --topic t [--record]
"""

from __future__ import annotations

import argparse
import asyncio
import uuid
from collections.abc import Iterator

import aiohttp
import psycopg

FETCH = 100
AT_ONCE = 32
LOCK_MS = 300_000
WAIT_MS = 20_000

_TABLE = """
CREATE TABLE IF NOT EXISTS raw_task (
    id bigserial PRIMARY KEY, external_id text NOT NULL UNIQUE, worker_id text NOT NULL, status text NOT NULL,
    fetched_at timestamptz NOT NULL DEFAULT now(), delivered_at timestamptz)
"""
_INSERT = """
INSERT INTO raw_task (external_id, worker_id, status) SELECT x, %s, 'running' FROM unnest(%s::text[]) AS x
"""
_UPDATE = "UPDATE raw_task SET status = 'delivered', delivered_at = now() WHERE external_id = ANY(%s)"


async def run(url: str, *, topic: str, record: bool) -> None:
    """Fetch and complete until the process is ended."""
    worker = f"raw-{uuid.uuid4()}"
    database = await psycopg.AsyncConnection.connect(autocommit=True) if record else None
    if database:
        await database.execute(_TABLE)
    wanted = {"topicName": topic, "lockDuration": LOCK_MS, "variables": [], "deserializeValues": False}
    asked = {"workerId": worker, "maxTasks": FETCH, "asyncResponseTimeout": WAIT_MS, "topics": [wanted]}
    result = {"workerId": worker, "variables": {}}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE + 1)) as engine:

        async def complete(ids: Iterator[str]) -> None:
            for task_id in ids:
                async with engine.post(f"{url}/external-task/{task_id}/complete", json=result) as answer:
                    if answer.status != 204:
                        raise RuntimeError(f"complete was answered {answer.status}: {await answer.text()}")

        while True:
            async with engine.post(f"{url}/external-task/fetchAndLock", json=asked) as answer:
                ids = [task["id"] for task in await answer.json()]
            if database and ids:
                await database.execute(_INSERT, [worker, ids])
            left = iter(ids)
            await asyncio.gather(*(complete(left) for _ in range(AT_ONCE)))
            if database and ids:
                await database.execute(_UPDATE, [ids])


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--record", action="store_true", help="write down what is done")
    options = parser.parse_args()
    asyncio.run(run(options.url, topic=options.topic, record=options.record))


if __name__ == "__main__":
    main()
