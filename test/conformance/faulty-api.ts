import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer, request, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { TestAuthority } from "../kits/tls.ts";
import type { AdminAccess } from "./kubeapi.ts";

/** What is answered in place of the API server, to `method` and `path`; undefined lets the request through. */
export type Fault = (
  method: string,
  path: string,
) => { readonly status: number; readonly retryAfterS?: number } | undefined;

/** An API server that sometimes answers badly: it ends TLS itself, and passes on what no fault takes. */
export class FaultyApi {
  readonly #server: Server;
  readonly #behind: AdminAccess;
  readonly #agent: Agent;
  /** PEM of what verifies it. */
  readonly ca: string;
  fault: Fault = () => undefined;
  /** Every request, as `GET /api/v1/pods?limit=500`. */
  readonly requests: { readonly line: string; readonly atMs: number; readonly refused: boolean }[] = [];

  private constructor(server: Server, behind: AdminAccess, ca: string) {
    this.#server = server;
    this.#behind = behind;
    this.#agent = new Agent({ keepAlive: true, ca: behind.ca });
    this.ca = ca;
    server.on("request", (asked: IncomingMessage, answer: ServerResponse) => this.#answer(asked, answer));
  }

  static async start(behind: AdminAccess): Promise<FaultyApi> {
    const authority = await TestAuthority.create();
    const { certificate, key } = await authority.issue();
    const server = createServer({ cert: certificate, key });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new FaultyApi(server, behind, authority.root);
  }

  get server(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends the connections that are open, watches too. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async close(): Promise<void> {
    this.cut();
    this.#agent.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(asked: IncomingMessage, answer: ServerResponse): void {
    const { method = "GET", url = "/" } = asked;
    const fault = this.fault(method, url);
    this.requests.push({ line: `${method} ${url}`, atMs: performance.now(), refused: fault !== undefined });
    if (fault === undefined) return this.#passOn(asked, answer);
    asked.resume();
    const headers = fault.retryAfterS === undefined ? {} : { "retry-after": String(fault.retryAfterS) };
    answer.writeHead(fault.status, { "content-type": "application/json", ...headers });
    answer.end(JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", code: fault.status }));
  }

  #passOn(asked: IncomingMessage, answer: ServerResponse): void {
    const { method, url, headers } = asked;
    const onward = request(`${this.#behind.server}${url}`, { method, headers, agent: this.#agent }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.on("error", () => answer.destroy());
      reply.pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    asked.pipe(onward);
  }
}
