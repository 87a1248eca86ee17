// A small HTTP/1.1 server on plain sockets: keep-alive, bodies with a length, nothing else. Node's own server costs about
// twice as much a request, and what measures must not be what is measured.

import { createServer } from "node:net";

const REASONS = { 200: "OK", 204: "No Content", 400: "Bad Request", 404: "Not Found", 411: "Length Required" };
const LENGTH = /\r\ncontent-length: *(\d+)/i;
const CLOSE = /\r\nconnection: *close/i;
const CHUNKED = /\r\ntransfer-encoding:/i;
const NOTHING = Buffer.alloc(0);

export const NO_CONTENT = "HTTP/1.1 204 No Content\r\n\r\n";

/** An answer with a JSON text as body. The text must be ASCII, so that its length is its number of bytes. */
export function answer(status, text) {
  return `HTTP/1.1 ${status} ${REASONS[status]}\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
}

/** JSON in ASCII: what is not, is escaped. */
export function ascii(value) {
  return JSON.stringify(value).replace(
    /[\u0080-\uffff]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Listens on 127.0.0.1; `handle(method, path, body, exchange)` answers with `exchange.send(…)`, now or later. */
export function serve(port, handle) {
  const server = createServer({ noDelay: true }, (socket) => new Connection(socket, handle));
  server.listen(port, "127.0.0.1");
  return server;
}

class Connection {
  constructor(socket, handle) {
    this.socket = socket;
    this.handle = handle;
    this.rest = NOTHING;
    this.exchange = null;
    socket.on("data", (data) => {
      this.rest = this.rest.length ? Buffer.concat([this.rest, data]) : data;
      this.next();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.exchange?.gone?.());
  }

  /** Take the next whole request, unless one is still under way: answers go out in the order of requests. */
  next() {
    if (this.exchange !== null) return;
    const end = this.rest.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = this.rest.latin1Slice(0, end);
    if (CHUNKED.test(head)) {
      this.socket.end(answer(411, "{}"));
      return;
    }
    const found = LENGTH.exec(head);
    const length = found === null ? 0 : Number(found[1]);
    const start = end + 4;
    if (this.rest.length < start + length) return;
    const body = length ? this.rest.utf8Slice(start, start + length) : "";
    this.rest = this.rest.length === start + length ? NOTHING : this.rest.subarray(start + length);
    const first = head.indexOf(" ");
    const second = head.indexOf(" ", first + 1);
    this.exchange = new Exchange(this, CLOSE.test(head));
    this.handle(head.slice(0, first), head.slice(first + 1, second), body, this.exchange);
  }

  sent(closes) {
    this.exchange = null;
    if (closes) this.socket.end();
    else if (this.rest.length) this.next();
  }
}

/** One request that waits for its answer; `gone` may be set to hear that the client has left before it came. */
class Exchange {
  constructor(connection, closes) {
    this.connection = connection;
    this.closes = closes;
    this.gone = null;
  }

  send(text) {
    this.connection.socket.write(text, "latin1");
    this.connection.sent(this.closes);
  }
}
