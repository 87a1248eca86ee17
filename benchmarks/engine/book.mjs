// The tasks of the load engine: where each is, when it was created, fetched and completed, and what happened twice.
// Semantics as in the engine's own sources: only the worker id says whose a task is; a lock that has run out can still be
// completed by its old worker; a failure keeps the worker id; expiry wakes no parked poll, creation and unlock do.

import { performance } from "node:perf_hooks";

import { ascii } from "./http.mjs";

const EXPIRY_LOOK_MS = 100;

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Milliseconds with microseconds behind the point, from a clock that never jumps. */
export const now = () => performance.now();

/** A moment of that clock as the engine writes times. */
export function moment(at) {
  return new Date(performance.timeOrigin + at).toISOString().replace("Z", "+0000");
}

export class Book {
  constructor() {
    this.waiters = [];
    this.forget();
    setInterval(() => this.free(), EXPIRY_LOOK_MS).unref();
  }

  forget() {
    this.tasks = new Map();
    this.topics = new Map();
    this.locked = new Set();
    this.load = (this.load ?? 0) + 1;
  }

  topic(name) {
    let found = this.topics.get(name);
    if (found === undefined) {
      found = { name, free: [], head: 0, all: [], counts: emptyCounts() };
      this.topics.set(name, found);
    }
    return found;
  }

  /** New tasks of a topic; `variables` is a map of VariableValueDto that all of them share. */
  create(name, count, variables) {
    const topic = this.topic(name);
    const created = now();
    const shared = { variables, texts: new Map(), createTime: moment(created) };
    for (let made = 0; made < count; made += 1) {
      const number = topic.all.length;
      const task = {
        id: identity(this.load, this.tasks.size),
        topic,
        shared,
        number,
        created,
        fetched: null,
        completed: null,
        worker: null,
        until: 0,
        retries: null,
        message: null,
        details: null,
        held: false,
      };
      this.tasks.set(task.id, task);
      topic.all.push(task);
      topic.free.push(task);
    }
    topic.counts.created += count;
    this.wake();
  }

  /** Lock up to `maximum` free tasks of the asked topics; answers [task, wanted topic] pairs. */
  take(worker, maximum, wanted) {
    const taken = [];
    const at = now();
    for (const asked of wanted) {
      const topic = this.topics.get(asked.topicName);
      if (topic === undefined) continue;
      while (taken.length < maximum && topic.head < topic.free.length) {
        const task = topic.free[topic.head];
        topic.head += 1;
        if (task.held || task.completed !== null || task.retries === 0) continue;
        if (task.fetched === null) task.fetched = at;
        else topic.counts.fetchedAgain += 1;
        this.lock(task, worker, at + asked.lockDuration);
        topic.counts.fetches += 1;
        taken.push([task, asked]);
      }
      if (topic.head === topic.free.length && topic.head > 0) {
        topic.free = [];
        topic.head = 0;
      }
    }
    return taken;
  }

  lock(task, worker, until) {
    task.worker = worker;
    task.until = until;
    task.held = true;
    this.locked.add(task);
  }

  release(task) {
    task.held = false;
    this.locked.delete(task);
    if (task.retries !== 0) task.topic.free.push(task);
  }

  /** Locks that have run out. */
  free() {
    const at = now();
    for (const task of this.locked) if (task.until <= at && task.completed === null) this.release(task);
  }

  find(id) {
    const task = this.tasks.get(id);
    if (task === undefined || task.completed !== null) {
      throw new Refusal(404, `External task with id ${id} does not exist`);
    }
    return task;
  }

  mine(id, worker) {
    const task = this.find(id);
    if (task.worker !== worker) {
      task.topic.counts.foreign += 1;
      throw new Refusal(400, `External Task ${id} cannot be changed by worker '${worker}'. It is locked by worker '${task.worker}'.`);
    }
    return task;
  }

  /** The task leaves the engine; `how` is the counter of its end. */
  end(id, worker, how) {
    const known = this.tasks.get(id);
    if (known !== undefined && known.completed !== null) known.topic.counts.endedAgain += 1;
    const task = this.mine(id, worker);
    task.completed = now();
    this.locked.delete(task);
    task.topic.counts[how] += 1;
  }

  fail(id, body) {
    const task = this.mine(id, body.workerId);
    task.retries = body.retries ?? 0;
    task.message = (body.errorMessage ?? "").slice(0, 666);
    task.details = body.errorDetails ?? null;
    task.topic.counts.failures += 1;
    this.lock(task, task.worker, now() + (body.retryTimeout ?? 0));
  }

  extend(id, body) {
    const task = this.mine(id, body.workerId);
    if (task.until <= now()) throw new Refusal(400, `Cannot extend a lock that expired`);
    this.lock(task, task.worker, now() + body.newDuration);
  }

  unlock(id) {
    const task = this.find(id);
    task.worker = null;
    if (task.held) this.release(task);
    this.wake();
  }

  setRetries(id, retries) {
    const task = this.find(id);
    task.retries = retries;
    if (retries > 0 && !task.held) this.release(task);
  }

  /** A poll waits for work: `waiter.attempt()` answers whether it got some and is done. */
  park(waiter) {
    this.waiters.push(waiter);
  }

  leave(waiter) {
    const index = this.waiters.indexOf(waiter);
    if (index >= 0) this.waiters.splice(index, 1);
  }

  wake() {
    for (const waiter of [...this.waiters]) if (waiter.attempt()) this.leave(waiter);
  }
}

/** The variables of a task that a fetch asked for, as JSON; tasks of one load share the text. */
export function variablesText(task, names) {
  const { variables, texts } = task.shared;
  const key = names === undefined || names === null ? "" : names.join("\n");
  let text = texts.get(key);
  if (text === undefined) {
    const wanted = key === "" ? Object.entries(variables) : Object.entries(variables).filter(([name]) => names.includes(name));
    text = ascii(names?.length === 0 ? {} : Object.fromEntries(wanted));
    texts.set(key, text);
  }
  return text;
}

function emptyCounts() {
  return { created: 0, fetches: 0, completed: 0, thrown: 0, failures: 0, fetchedAgain: 0, endedAgain: 0, foreign: 0 };
}

function identity(load, number) {
  const first = (load >>> 0).toString(16).padStart(8, "0");
  return `${first}-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
}
