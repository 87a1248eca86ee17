"""Measures one run: load into the engine, meters around it, figures out of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from benchmarks.figures import Figures, percentile
from benchmarks.load_engine import LoadEngine, State
from benchmarks.meters import Commands, Cpu, Sql, resident_mb, shared_out_mb
from benchmarks.runs import WAIT_SECONDS, Run
from benchmarks.workers import PLACES, Bptl, NotReady, Worker, wait_until_polling, yardstick

YARD = "yard"
SLOWEST = 15.0
"""Tasks a second below which a run is given up."""

AFTERWARDS = 0.3
"""Seconds for which the meters run on after the last completion: what is written down then belongs to the run."""

SETTLES = 15.0
"""Seconds after which loops that had something to do look as seldom as those of an idle fleet."""

SHOWN = 15
POSTGRES, BROKER = "postgres", "broker"
SERVERS = (POSTGRES, BROKER)


class Measured:
    """The stage of all runs."""

    def __init__(self, bptl: Bptl, engine: LoadEngine) -> None:
        self.bptl = bptl
        self.engine = engine

    def run(self, run: Run) -> Figures:
        """One run; raises NotReady when its worker does not do it."""
        topic = run.topic if run.worker == "bptl" else YARD
        self.bptl.check()
        self.engine.forget()
        self.engine.delay(fetch_ms=run.fetch_ms, complete_ms=run.complete_ms)
        with self._worker(run, topic) as worker:
            wait_until_polling(self.engine, topic=topic)
            figures = self._measure(run, worker, topic)
        self.engine.delay()
        return figures

    @contextmanager
    def _worker(self, run: Run, topic: str) -> Iterator[Worker]:
        if run.worker == "bptl":
            self.bptl.use_workers(run.processes)
            yield self.bptl
            return
        with yardstick(run.worker, self.bptl, self.engine, topic=topic) as worker:
            yield worker

    def _measure(self, run: Run, worker: Worker, topic: str) -> Figures:
        sql = Sql(self.bptl.postgres, worker.database)
        commands = Commands(self.bptl.valkey.url)
        before = self.engine.state(topic)
        started = time.monotonic()
        cpu = self._cpu(worker)
        if run.slow:
            self.engine.backlog("slow", run.slow)
        if run.rate is None:
            self.engine.backlog(topic, run.count, variables=run.variables)
        else:
            self.engine.stream(topic, rate=run.rate, count=run.count, variables=run.variables)
        limit = 60 + run.count / min(SLOWEST, run.rate or SLOWEST)
        after = self._wait(run, topic, limit=limit)
        if run.slow:
            self._wait(run, "slow", limit=limit)
        time.sleep(AFTERWARDS)
        spent, elapsed = cpu.spent(), time.monotonic() - started
        statements = sql.spent()
        executed = commands.spent()
        times = self.engine.times(topic)
        latencies = [one.completed - one.created for one in times if one.completed is not None]
        waits = [one.fetched - one.created for one in times if one.fetched is not None]
        seconds = (max(one.completed or 0 for one in times) - min(one.created for one in times)) / 1000
        engine_ms, requests = after.cpu_ms - before.cpu_ms, after.requests - before.requests
        extra = {
            "foreign_key_checks": sum(one.calls for one in statements if not one.sent) / run.count,
            "read_in_sequence": {name: rows for name, rows in sql.read_in_sequence().items() if rows},
            "seconds_measured": round(elapsed, 3),
            "cpu_ms": {name: 1000 * used / run.count for name, used in spent.items() if name not in SERVERS},
            "statements": [asdict(one) for one in statements[:SHOWN]],
            "commands": dict(sorted(executed.items(), key=lambda item: -item[1])[:SHOWN]),
        }
        if run.topic == "wait" and run.worker == "bptl":
            extra["part_of_theory"] = len(latencies) / seconds / (run.processes * PLACES / WAIT_SECONDS)
        return Figures(
            name=run.name,
            tasks=run.count,
            seconds=seconds,
            fetched=percentile(waits, 50),
            p50=percentile(latencies, 50),
            p95=percentile(latencies, 95),
            p99=percentile(latencies, 99),
            cpu_ms=1000 * sum(used for name, used in spent.items() if name not in SERVERS) / run.count,
            pg_ms=1000 * spent[POSTGRES] / run.count,
            broker_ms=1000 * spent[BROKER] / run.count,
            sql=sum(one.calls for one in statements if one.sent) / run.count,
            commands=sum(executed.values()) / run.count,
            engine_share=engine_ms / 1000 / seconds,
            engine_ms_per_request=engine_ms / requests,
            missing=after.created - len(latencies),
            doubled=after.fetched_again + after.ended_again + after.foreign,
            extra=extra,
        )

    def _cpu(self, worker: Worker) -> Cpu:
        servers = {POSTGRES: self.bptl.postgres.part.pid, BROKER: self.bptl.valkey.part.pid}
        return Cpu({**worker.pids(), **servers})

    def _wait(self, run: Run, topic: str, *, limit: float) -> State:
        deadline = time.monotonic() + limit
        while True:
            state = self.engine.state(topic)
            if state.done:
                return state
            self.bptl.check()
            if time.monotonic() > deadline:
                raise NotReady(f"{run.name}: not done after {limit:.0f} s: {state}; logs: {self.bptl.logs}")
            time.sleep(0.1)

    def idle(self, *, seconds: float) -> dict[str, float]:
        """Part of a core (percent) that everything takes while nothing happens."""
        self.bptl.use_workers(2)
        self.engine.forget()
        time.sleep(SETTLES)
        cpu = self._cpu(self.bptl)
        started = time.monotonic()
        time.sleep(seconds)
        spent, elapsed = cpu.spent(), time.monotonic() - started
        shares = {name: 100 * used / elapsed for name, used in spent.items()}
        return {"idle all %": sum(shares.values()), **{f"idle {name} %": share for name, share in shares.items()}}

    def start(self) -> dict[str, float]:
        """Seconds from the start of a worker process to the completion of a task that waits for it."""
        self.bptl.use_workers(0)
        self.engine.forget()
        self.engine.backlog("noop", 1)
        started = time.monotonic()
        self.bptl.start_part("work-1")
        while not self.engine.state("noop").done:
            if time.monotonic() - started > 60:
                raise NotReady(f"a started worker did nothing for a minute; logs: {self.bptl.logs}")
            time.sleep(0.02)
        return {"start of a worker s": time.monotonic() - started}

    def memory(self) -> dict[str, list[float]]:
        """Resident megabytes of the processes of each part of BPTL."""
        self.bptl.use_workers(2)
        found: dict[str, list[float]] = defaultdict(list)
        for name in self.bptl.part_names:
            found[name] = resident_mb(self.bptl.part(name).pid)
        return dict(found)

    def memory_shared_out(self) -> float:
        """Megabytes of all of them with the pages that they share counted once."""
        return sum(shared_out_mb(self.bptl.part(name).pid) for name in self.bptl.part_names)
