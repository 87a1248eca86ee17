// The load engine: node main.mjs --port 20000
//
//   /engine-rest/…   what a worker of the Camunda 7 family asks (rest.mjs)
//   /control/…       what the benchmark asks: loads, delays, counts, times, its own cost
//   /service/wait/N  a service of somebody else that needs N milliseconds

import { parseArgs } from "node:util";

import { Book, now } from "./book.mjs";
import { NO_CONTENT, answer, ascii, serve } from "./http.mjs";
import { Rest } from "./rest.mjs";

const { values } = parseArgs({ options: { port: { type: "string" } } });
const book = new Book();
const rest = new Rest(book);
let requests = 0;
let streams = 0;

serve(Number(values.port), (method, path, body, exchange) => {
  requests += 1;
  if (rest.handle(method, path, body, exchange)) return;
  if (path.startsWith("/service/wait/")) serveWait(Number(path.slice(14)), exchange);
  else if (path.startsWith("/control/")) control(path.slice(9), body ? JSON.parse(body) : {}, exchange);
  else exchange.send(answer(404, "{}"));
});

function serveWait(milliseconds, exchange) {
  const done = () => exchange.send(answer(200, '{"done":true}'));
  if (milliseconds) setTimeout(done, milliseconds);
  else done();
}

function control(path, body, exchange) {
  const [step, name] = path.split("/");
  if (step === "forget") book.forget();
  else if (step === "backlog") book.create(body.topic, body.count, body.variables ?? {});
  else if (step === "stream") stream(body);
  else if (step === "delays") rest.delays = { fetch: body.fetch ?? 0, complete: body.complete ?? 0 };
  else if (step === "state" || step === "times") {
    exchange.send(answer(200, ascii(step === "state" ? state(name) : times(name))));
    return;
  } else {
    exchange.send(answer(404, "{}"));
    return;
  }
  exchange.send(NO_CONTENT);
}

/** Creates `count` tasks at `rate` a second: at even distances, or at random ones (a Poisson process) that a seed repeats. */
function stream({ topic, rate, count, variables, even, seed }) {
  const random = randomNumbers(seed ?? 1);
  let due = now();
  let left = count;
  streams += 1;
  const step = () => {
    while (left > 0 && due <= now()) {
      book.create(topic, 1, variables ?? {});
      left -= 1;
      due += (1000 / rate) * (even ? 1 : -Math.log(1 - random()));
    }
    if (left > 0) setTimeout(step, Math.max(0, due - now()));
    else streams -= 1;
  };
  step();
}

/** Counts of one topic, and what it costs to serve them: `cpuMs` is the CPU time of this process since its start. */
function state(name) {
  const { user, system } = process.cpuUsage();
  const topic = book.topic(name);
  const parked = book.waiters.filter((waiter) => waiter.topics.includes(name)).length;
  const locked = [...book.locked].filter((task) => task.topic === topic).length;
  return { ...topic.counts, locked, parked, streams, requests, cpuMs: (user + system) / 1000 };
}

/** [created, fetched, completed] of each task, in milliseconds; null for what has not happened. */
function times(name) {
  return book.topic(name).all.map((task) => [task.created, task.fetched, task.completed]);
}

/** mulberry32: numbers in [0, 1) that a seed repeats. */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
