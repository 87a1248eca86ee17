// The part of the Camunda 7 REST API that workers use for external tasks.

import { Refusal, moment, now, variablesText } from "./book.mjs";
import { NO_CONTENT, answer, ascii } from "./http.mjs";

const ROOT = "/engine-rest";
const TASK = `${ROOT}/external-task`;

export class Rest {
  constructor(book) {
    this.book = book;
    this.delays = { fetch: 0, complete: 0 };
  }

  /** Answers true when the request was one of this API. */
  handle(method, path, body, exchange) {
    if (!path.startsWith(ROOT)) return false;
    const mark = path.indexOf("?");
    const bare = mark < 0 ? path : path.slice(0, mark);
    try {
      if (bare === `${TASK}/fetchAndLock`) this.fetch(JSON.parse(body), exchange);
      else if (bare.startsWith(`${TASK}/`)) this.task(method, bare.slice(TASK.length + 1).split("/"), body, exchange);
      else this.other(method, bare, mark < 0 ? "" : path.slice(mark + 1), body, exchange);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      exchange.send(refused(error));
    }
    return true;
  }

  fetch(asked, exchange) {
    const waiter = {
      topics: asked.topics.map((topic) => topic.topicName),
      attempt: () => {
        const taken = this.book.take(asked.workerId, asked.maxTasks, asked.topics);
        if (taken.length) finish(taken);
        return taken.length > 0;
      },
    };
    let timer = null;
    const finish = (taken) => {
      clearTimeout(timer);
      exchange.gone = null;
      exchange.send(answer(200, `[${taken.map(lockedTask).join(",")}]`));
    };
    const begin = () => {
      if (waiter.attempt()) return;
      if (!asked.asyncResponseTimeout) {
        finish([]);
        return;
      }
      this.book.park(waiter);
      exchange.gone = () => {
        clearTimeout(timer);
        this.book.leave(waiter);
      };
      timer = setTimeout(() => {
        this.book.leave(waiter);
        this.book.free();
        if (!waiter.attempt()) finish([]);
      }, asked.asyncResponseTimeout);
    };
    later(this.delays.fetch, exchange, begin);
  }

  task(method, [id, verb], body, exchange) {
    const done = () => exchange.send(NO_CONTENT);
    if (verb === "complete") {
      const { workerId } = JSON.parse(body);
      later(this.delays.complete, exchange, () => {
        this.book.end(id, workerId, "completed");
        done();
      });
      return;
    }
    if (method === "GET" && verb === undefined && id === "topic-names") exchange.send(answer(200, ascii([...this.book.topics.keys()])));
    else if (method === "POST" && id === "count") exchange.send(answer(200, ascii({ count: this.matching(JSON.parse(body)).length })));
    else if (method === "GET" && verb === undefined) exchange.send(answer(200, ascii(plainTask(this.book.find(id)))));
    else if (method === "GET" && verb === "errorDetails") {
      const { details } = this.book.find(id);
      exchange.send(details === null ? NO_CONTENT : answer(200, Buffer.from(details).toString("latin1")));
    } else {
      this.change(id, verb, body ? JSON.parse(body) : {});
      done();
    }
  }

  change(id, verb, body) {
    if (verb === "bpmnError") this.book.end(id, body.workerId, "thrown");
    else if (verb === "failure") this.book.fail(id, body);
    else if (verb === "extendLock") this.book.extend(id, body);
    else if (verb === "unlock") this.book.unlock(id);
    else if (verb === "retries") this.book.setRetries(id, body.retries);
    else throw new Refusal(404, `HTTP 404 Not Found: ${verb}`);
  }

  other(method, path, query, body, exchange) {
    const said = this.said(method, path.slice(ROOT.length + 1), new URLSearchParams(query), body);
    if (said === undefined) exchange.send(answer(404, ascii({ type: "NotFoundException", message: `HTTP 404 Not Found: ${path}` })));
    else exchange.send(answer(200, ascii(said)));
  }

  said(method, path, query, body) {
    if (path === "external-task") {
      const first = Number(query.get("firstResult") ?? 0);
      const asked = method === "POST" ? JSON.parse(body) : Object.fromEntries(query);
      return this.matching(asked).slice(first, first + Number(query.get("maxResults") ?? 100)).map(plainTask);
    }
    if (path === "version") return { version: "load-engine" };
    if (path === "engine") return [{ name: "default" }];
    if (path === "authorization/check") return { authorized: true };
    if (path === "user") return [{ id: query.get("id") }];
    if (path === "process-definition") return [];
    if (/^process-instance\/[^/]+\/variables$/.test(path)) return {};
    return undefined;
  }

  /** Tasks that an ExternalTaskQueryDto finds, by id. */
  matching(asked) {
    const found = [];
    const at = now();
    for (const task of this.book.tasks.values()) {
      if (task.completed !== null) continue;
      if (asked.workerId !== undefined && asked.workerId !== task.worker) continue;
      if (asked.topicName !== undefined && asked.topicName !== task.topic.name) continue;
      if (asked.locked && !(task.worker !== null && task.until > at)) continue;
      if (asked.notLocked && task.worker !== null && task.until > at) continue;
      if (asked.noRetriesLeft && task.retries !== 0) continue;
      if (asked.withRetriesLeft && task.retries === 0) continue;
      found.push(task);
    }
    return found;
  }
}

/** Does something now, or after so many milliseconds; a refusal becomes its answer. */
function later(milliseconds, exchange, step) {
  if (!milliseconds) {
    step();
    return;
  }
  setTimeout(() => {
    try {
      step();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      exchange.send(refused(error));
    }
  }, milliseconds);
}

function refused(error) {
  return answer(error.status, ascii({ type: "RestException", message: error.message, code: null }));
}

const CONSTANT =
  '"activityId":"activity","activityInstanceId":"activity:1","processDefinitionId":"load:1:1","processDefinitionKey":"load","processDefinitionVersionTag":null,"tenantId":null,"suspended":false,"priority":0';

/** A LockedExternalTaskDto as JSON, put together by hand: this is what the engine does most. */
function lockedTask([task, asked]) {
  const instance = `instance-${task.id}`;
  const retries = task.retries === null ? "null" : task.retries;
  const failed = task.message === null ? '"errorMessage":null,"errorDetails":null' : `"errorMessage":${ascii(task.message)},"errorDetails":${ascii(task.details)}`;
  return `{"id":"${task.id}","topicName":"${task.topic.name}","workerId":${JSON.stringify(task.worker)},"lockExpirationTime":"${moment(task.until)}","createTime":"${task.shared.createTime}","executionId":"${instance}","processInstanceId":"${instance}","businessKey":"${task.topic.name}-${task.number}","retries":${retries},${failed},${CONSTANT},"extensionProperties":{},"variables":${variablesText(task, asked.variables)}}`;
}

function plainTask(task) {
  const { variables, extensionProperties, ...rest } = JSON.parse(lockedTask([task, { variables: [] }]));
  if (task.worker === null) rest.lockExpirationTime = null;
  return rest;
}
