import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import { Agent, request } from "node:https";
import type { AddressInfo } from "node:net";
import { TestAuthority } from "../kits/tls.ts";
import type { AdminAccess } from "./kubeapi.ts";

/** What is answered in place of the API server; undefined lets the request through. */
export interface FaultAnswer {
  readonly status: number;
  readonly reason?: string;
  readonly retryAfterS?: number;
}

export interface SeenRequest {
  /** As `GET /api/v1/pods?limit=500`. */
  readonly line: string;
  /** When it came, in milliseconds of this process. */
  readonly atMs: number;
  /** When it was answered to the end; infinite until then. */
  endedMs: number;
  /** 0 until it is answered. */
  status: number;
}

/** An API server that sometimes answers badly: it ends TLS itself, and passes on what `fault` does not take. */
export class FaultyApi {
  readonly #server: Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #behind: AdminAccess;
  readonly #agent: Agent;
  /** PEM of what verifies it. */
  readonly ca: string;
  fault: (line: string) => FaultAnswer | undefined = () => undefined;
  /** How long a request waits before it is passed on. */
  delayMs: (line: string) => number = () => 0;
  /** In the order in which they came. */
  readonly requests: SeenRequest[] = [];

  private constructor(server: Http2SecureServer, behind: AdminAccess, ca: string) {
    this.#server = server;
    this.#behind = behind;
    this.#agent = new Agent({ keepAlive: true, ca: behind.ca });
    this.ca = ca;
    server.on("request", (asked, answer) => this.#answer(asked as never, answer as never));
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("close", () => this.#sessions.delete(session));
      session.on("error", () => {});
    });
  }

  static async start(behind: AdminAccess): Promise<FaultyApi> {
    const authority = await TestAuthority.create();
    const { certificate, key } = await authority.issue();
    const server = createSecureServer({ cert: certificate, key, allowHTTP1: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new FaultyApi(server, behind, authority.root);
  }

  get server(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Breaks the connections that are open, and every watch on them. */
  cut(): void {
    for (const session of this.#sessions) session.destroy();
  }

  /** How many of these were ever under way at once. */
  static mostAtOnce(requests: readonly SeenRequest[]): number {
    return Math.max(
      0,
      ...requests.map(({ atMs }) => requests.filter((other) => other.atMs <= atMs && atMs < other.endedMs).length),
    );
  }

  /** The requests since `count` of them had come whose line `pattern` matches. */
  since(count: number, pattern: RegExp): readonly SeenRequest[] {
    return this.requests.slice(count).filter(({ line }) => pattern.test(line));
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    this.#agent.destroy();
    await closed;
  }

  #answer(asked: IncomingMessage, answer: ServerResponse): void {
    const line = `${asked.method} ${asked.url}`;
    const fault = this.fault(line);
    const seen: SeenRequest = { line, atMs: performance.now(), endedMs: Infinity, status: 0 };
    this.requests.push(seen);
    answer.on("close", () => (seen.endedMs = performance.now()));
    const delayMs = this.delayMs(line);
    if (fault === undefined && delayMs === 0) return this.#passOn(asked, answer, seen);
    if (fault === undefined) return void setTimeout(() => this.#passOn(asked, answer, seen), delayMs);
    const { status, reason = "", retryAfterS } = fault;
    asked.resume();
    seen.status = status;
    answer.writeHead(status, {
      "content-type": "application/json",
      ...(retryAfterS !== undefined && { "retry-after": String(retryAfterS) }),
    });
    answer.end(JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", code: status, reason }));
  }

  #passOn(asked: IncomingMessage, answer: ServerResponse, seen: SeenRequest): void {
    const { method, url, headers } = asked;
    const options = { method, headers: withoutHops(headers), agent: this.#agent };
    const onward = request(`${this.#behind.server}${url}`, options, (reply) => {
      seen.status = reply.statusCode ?? 0;
      answer.writeHead(seen.status, withoutHops(reply.headers));
      reply.on("error", () => answer.destroy());
      reply.pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    asked.pipe(onward);
  }
}

/** What is said of one connection, and what only HTTP/2 says. */
const HOPS = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade", "host", "http2-settings"]);

function withoutHops(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(":") && !HOPS.has(name)));
}
