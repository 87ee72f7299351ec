import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import { gunzipSync } from "node:zlib";
import { decodeTraces } from "./otlp-protobuf.ts";
import type { Pair } from "./tls.ts";

/** One span as a collector gets it. */
export interface CollectedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  /** Milliseconds since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  readonly facts: Readonly<Record<string, string>>;
  readonly events: readonly string[];
}

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, string | number>>;
}

interface Received {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly name: string;
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly startTimeUnixNano: string;
        readonly endTimeUnixNano: string;
        readonly attributes: readonly Attribute[];
        readonly events: readonly { readonly name: string; readonly attributes: readonly Attribute[] }[];
      }[];
    }[];
  }[];
}

export interface CollectorTls {
  readonly own: Pair;
  /** In PEM. */
  readonly clients: string;
}

/** ⇄ Takes OTLP over HTTP, as JSON or protobuf, packed or not. */
export class TraceCollector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  readonly headers: IncomingHttpHeaders[] = [];
  /** What each batch is answered, and after how many milliseconds; one that is refused is not taken. */
  answer = { status: 200, delayMs: 0 };
  readonly #server: Server;
  readonly #scheme: string;

  private constructor(tls: CollectorTls | undefined) {
    const take = (request: IncomingMessage, response: ServerResponse): void => this.#receive(request, response);
    this.#scheme = tls === undefined ? "http" : "https";
    this.#server =
      tls === undefined
        ? createServer(take)
        : createTlsServer({ cert: tls.own.certificate, key: tls.own.key, ca: tls.clients, requestCert: true }, take);
  }

  /** @param tls with it, only those who show a certificate under `clients` are heard. */
  static async start(tls?: CollectorTls): Promise<TraceCollector> {
    const collector = new TraceCollector(tls);
    await new Promise<void>((resolve) => collector.#server.listen(0, "127.0.0.1", resolve));
    return collector;
  }

  get url(): string {
    const address = this.#server.address();
    return `${this.#scheme}://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const { headers } = request;
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      this.headers.push(headers);
      const { status, delayMs } = this.answer;
      if (status === 200) this.#take(receivedIn(Buffer.concat(parts), headers));
      const isJson = headers["content-type"] === "application/json";
      setTimeout(() => response.writeHead(status).end(isJson ? "{}" : ""), delayMs).unref();
    });
  }

  #take({ resourceSpans }: Received): void {
    for (const { resource, scopeSpans } of resourceSpans)
      for (const { spans } of scopeSpans)
        for (const span of spans)
          this.spans.push({
            ...{ name: span.name, traceId: span.traceId, spanId: span.spanId, parentSpanId: span.parentSpanId ?? "" },
            startMs: Number(BigInt(span.startTimeUnixNano) / 1_000_000n),
            endMs: Number(BigInt(span.endTimeUnixNano) / 1_000_000n),
            facts: { ...factsOf(resource.attributes), ...factsOf(span.attributes) },
            events: span.events.map(({ name, attributes }) => `${name} ${factsOf(attributes)["causeway.object"]}`),
          });
  }
}

function receivedIn(body: Buffer, headers: IncomingHttpHeaders): Received {
  const bytes = headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
  if (headers["content-type"] === "application/x-protobuf") return decodeTraces(bytes);
  return JSON.parse(bytes.toString()) as Received;
}

const factsOf = (attributes: readonly Attribute[]): Record<string, string> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, String(Object.values(value)[0])]));
