import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { type AddressInfo, isIP } from "node:net";
import { MeshError, messageOf, type ErrorCode } from "./errors.ts";
import type { Clock, Logger } from "./host.ts";

/** Requests are a line and a few headers; a log level is the only body. */
const HEADERS_BYTES_MAX = 16 * 1024;
const BODY_BYTES_MAX = 4096;
const HEADERS_MS_MAX = 10_000;
const REQUEST_MS_MAX = 15_000;
const TLS_LIMITS = { handshakeTimeout: HEADERS_MS_MAX, minVersion: "TLSv1.2" } as const;
/** A reader that takes nothing for so long is gone. */
const IDLE_MS_MAX = 30_000;
/** Probes and scrapers; each may hold a view of the mesh while it reads. */
const CONNECTIONS_MAX = 128;

export interface EndpointRequest {
  readonly method: string;
  /** Without the query, as sent, but for slashes that are there twice at its beginning: istioctl asks for `//version`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** True if it comes from this machine, and not by way of a name that somebody pointed at it. */
  readonly local: boolean;
  /** @throws MeshError `exhausted` if it is longer than 4096 bytes. */
  body(): Promise<string>;
}

export interface EndpointAnswer {
  readonly status: number;
  readonly contentType: string;
  /** Slices are made as the client takes them. */
  readonly body: string | Iterable<string>;
  /** Beyond those that every answer has, in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** @throws MeshError, which answers with its own sentence. */
export type Endpoint = (request: EndpointRequest) => EndpointAnswer | Promise<EndpointAnswer>;

const STATUSES: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  unauthenticated: 401,
  denied: 403,
  absent: 404,
  conflict: 409,
  unavailable: 503,
  timeout: 504,
  exhausted: 413,
  unsupported: 405,
  internal: 500,
};

export const textAnswer = (status: number, body: string): EndpointAnswer => ({
  status,
  contentType: "text/plain; charset=utf-8",
  body: `${body}\n`,
});

export const jsonAnswer = (status: number, body: Iterable<string>): EndpointAnswer => ({
  status,
  contentType: "application/json",
  body,
});

/** In PEM. */
export interface EndpointCertificate {
  /** Leaf first. */
  readonly chain: string;
  readonly key: string;
}

export interface EndpointOptions {
  /** How long an answer may take, and its reader; 30 s by default. */
  readonly idleMsMax?: number;
  /** TLS, with this certificate; plain HTTP by default. Clients need none. */
  readonly certificate?: EndpointCertificate;
}

/** A small HTTP/1.1 server: one function answers, everything is bounded. ⇄ */
export class HttpEndpoint {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #endpoint: Endpoint;
  readonly #server: Server;
  readonly #secure: TlsServer | undefined;

  /** @throws what OpenSSL says of a certificate and a key that do not belong together. */
  constructor(clock: Clock, log: Logger, endpoint: Endpoint, options: EndpointOptions = {}) {
    const { idleMsMax = IDLE_MS_MAX, certificate } = options;
    this.#clock = clock;
    this.#log = log;
    this.#endpoint = endpoint;
    const limits = { maxHeaderSize: HEADERS_BYTES_MAX, headersTimeout: HEADERS_MS_MAX, requestTimeout: REQUEST_MS_MAX };
    const serve = (request: IncomingMessage, response: ServerResponse): void => void this.#serve(request, response);
    this.#secure = certificate && createTlsServer({ ...limits, ...TLS_LIMITS, ...secretsOf(certificate) }, serve);
    this.#server = this.#secure ?? createServer(limits, serve);
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.timeout = idleMsMax;
  }

  /** The port that it has, once it listens. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From the next connection on. @throws as the constructor; what was there before stays then. */
  setCertificate(certificate: EndpointCertificate): void {
    this.#secure?.setSecureContext(secretsOf(certificate));
  }

  /** @throws what the system says if the port cannot be had. */
  async listen(address: string, port: number): Promise<void> {
    this.#server.listen(port, address);
    await once(this.#server, "listening");
  }

  /** Ends what is being answered, too. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#send(response, await this.#answer(toEndpointRequest(request)));
    } catch (thrown) {
      // The head is out: a cut connection is the only way left to say that this is not all.
      this.#log.error("an answer ended early", { path: request.url, reason: messageOf(thrown) });
      response.destroy();
    }
  }

  async #answer(request: EndpointRequest): Promise<EndpointAnswer> {
    try {
      return startSlices(await this.#endpoint(request));
    } catch (thrown) {
      const error = MeshError.from(thrown);
      if (error.code === "internal")
        this.#log.error("a request failed", { path: request.path, reason: error.message, stack: stackOf(thrown) });
      return textAnswer(
        STATUSES[error.code],
        error.code === "internal" ? "this failed; the log says why" : error.message,
      );
    }
  }

  async #send(response: ServerResponse, { status, contentType, body, headers }: EndpointAnswer): Promise<void> {
    response.writeHead(status, {
      "content-type": contentType,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...(status === 405 && { allow: "GET" }),
      ...headers,
    });
    if (typeof body === "string") return void response.end(body);
    for (const slice of body) {
      if (response.destroyed) return;
      if (!response.write(slice)) await drained(response);
      // A write that the system takes at once drains before anything else runs; others must get their turn too.
      await new Promise<void>((resolve) => this.#clock.after(0, resolve));
    }
    response.end();
  }
}

const secretsOf = ({ chain, key }: EndpointCertificate) => ({ cert: chain, key });

/** Makes the first slice at once: what fails there can still be answered as an error. */
function startSlices(answer: EndpointAnswer): EndpointAnswer {
  if (typeof answer.body === "string") return answer;
  const slices = answer.body[Symbol.iterator]();
  const first = slices.next();
  const body = (function* () {
    try {
      for (let next = first; next.done !== true; next = slices.next()) yield next.value;
    } finally {
      slices.return?.();
    }
  })();
  return { ...answer, body };
}

function toEndpointRequest(request: IncomingMessage): EndpointRequest {
  const [path = "", query = ""] = (request.url ?? "").replace(/^\/+/, "/").split("?", 2);
  return {
    method: request.method ?? "",
    path,
    query: new URLSearchParams(query),
    local: isLoopback(request.socket.remoteAddress ?? "") && isOwnName(request.headers.host ?? ""),
    body: () => bodyOf(request),
  };
}

/** A browser can be made to call a foreign name that leads to this machine; its Host header then still says so. */
function isOwnName(host: string): boolean {
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return name === "localhost" || isIP(name) !== 0;
}

const isLoopback = (address: string): boolean => /^(::ffff:)?127\.|^::1$/.test(address);

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new MeshError("exhausted", `the body is longer than ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Resolves when the client can take more, or is gone. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

const stackOf = (thrown: unknown): string => (thrown instanceof Error ? (thrown.stack ?? "") : "");
