import { Agent, type IncomingMessage, request as httpRequest, type RequestOptions } from "node:http";
import { Agent as TlsAgent, type AgentOptions, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { KubeLimits } from "./limits.ts";
import type { ExchangeHandler, Wire, WireRequest } from "./wire.ts";

/** Watches hold one each; what is above waits for its turn. */
const SOCKETS_MAX = 128;

/** Requests over connections that are kept: for servers without HTTP/2, or without TLS. ⇄ */
export class Http1Wire implements Wire {
  readonly protocol = "http/1.1";
  readonly #origin: URL;
  readonly #options: RequestOptions;
  readonly #sockets = new Set<Socket>();
  readonly #agent: Agent;
  readonly #pingIdleMs: number;
  #retired = false;
  #error: Error | undefined;

  /** @param options how to connect: of TCP, and of TLS if `origin` has it. */
  constructor(origin: URL, options: AgentOptions, limits: KubeLimits) {
    this.#origin = origin;
    this.#pingIdleMs = limits.pingIdleMs;
    const kept = { ...options, keepAlive: true, keepAliveMsecs: limits.pingIdleMs, maxSockets: SOCKETS_MAX };
    this.#agent = origin.protocol === "https:" ? new TlsAgent({ ...kept, maxCachedSessions: 0 }) : new Agent(kept);
    this.#options = { agent: this.#agent, maxHeaderSize: limits.headerBytesMax };
  }

  get usable(): boolean {
    return !this.#retired && this.#error === undefined;
  }

  get gone(): boolean {
    return !this.usable && this.#sockets.size === 0;
  }

  send({ method, path, headers, body }: WireRequest, handler: ExchangeHandler): Disposable {
    const send = this.#origin.protocol === "https:" ? httpsRequest : httpRequest;
    const request = send(this.#origin, {
      ...this.#options,
      method,
      path,
      headers: { ...headers, ...(body && { "content-length": body.length }) } as RequestOptions["headers"] & object,
    });
    let answer: IncomingMessage | undefined;
    let error: Error | undefined;
    request.on("socket", (socket) => this.#keep(socket));
    request.on("response", (message) => {
      answer = message;
      message.on("data", (chunk: Buffer) => handler.onData(chunk));
      message.on("error", (thrown) => (error = thrown));
      handler.onHead(message.statusCode ?? 0, message.headers);
    });
    request.on("error", (thrown) => {
      error = thrown;
      // What could not even begin may need other roots, or HTTP/2, by now.
      if (answer === undefined && !request.reusedSocket) this.retire();
    });
    request.once("close", () => {
      if (answer?.complete === true && error === undefined) handler.onEnd();
      else handler.onFail(this.#error ?? error ?? new Error("the server closed the connection before it had answered"));
    });
    request.end(body);
    return { [Symbol.dispose]: () => request.destroy() };
  }

  retire(): void {
    this.#retired = true;
    this.#agent.maxFreeSockets = 0;
    for (const socket of Object.values(this.#agent.freeSockets).flat()) socket?.destroy();
  }

  async close(error: Error): Promise<void> {
    this.#error ??= error;
    const closed = [...this.#sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    this.#agent.destroy();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  /** The kernel asks for signs of life: each second after the delay, ten times. */
  #keep(socket: Socket): void {
    if (this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.setKeepAlive(true, this.#pingIdleMs);
    socket.once("close", () => this.#sockets.delete(socket));
  }
}
