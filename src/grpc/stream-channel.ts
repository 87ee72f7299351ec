import type { ServerHttp2Stream } from "node:http2";
import type { Credentials } from "../caller.ts";
import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { MessageReader, messagePrefix } from "./frames.ts";
import type { MessageChannel, MessageReceiver, StreamMethod } from "./method.ts";
import { statusHeaders, type StatusHeaders } from "./status.ts";

const HEADERS = { ":status": 200, "content-type": "application/grpc" } as const;
const INTERNAL_ERROR = 2;

/** Answers before any message: the status takes the place of the headers. */
export function respondStatus(stream: ServerHttp2Stream, error: Error): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({ ...HEADERS, ...statusHeaders(error) }, { endStream: true });
}

/** One stream of messages both ways, over one HTTP/2 stream. */
export class StreamChannel implements MessageChannel {
  readonly #stream: ServerHttp2Stream;
  readonly #clock: Clock;
  readonly #flushMs: number;
  readonly #reader: MessageReader;
  #receiver: MessageReceiver | undefined;
  #status: StatusHeaders | undefined;
  #flush: Disposable | undefined;
  #closed = false;

  constructor(
    stream: ServerHttp2Stream,
    readonly credentials: Credentials,
    clock: Clock,
    limits: { readonly messageBytesMax: number; readonly flushMs: number },
  ) {
    this.#stream = stream;
    this.#clock = clock;
    this.#flushMs = limits.flushMs;
    this.#reader = new MessageReader(limits.messageBytesMax);
    stream.on("wantTrailers", () => stream.sendTrailers({ ...(this.#status ?? statusHeaders()) }));
    stream.on("close", () => this.#close());
  }

  /** Lets the method decide, then passes messages on. Never rejects. */
  async open(method: StreamMethod): Promise<void> {
    try {
      this.#receiver = await method.open(this);
    } catch (thrown) {
      this.end(thrown instanceof Error ? thrown : MeshError.from(thrown));
      return;
    }
    if (this.#closed) {
      this.#receiver.closed();
      return;
    }
    this.#stream.on("drain", () => this.#receiver?.writable());
    this.#stream.on("data", (chunk: Buffer) => this.#guard(() => this.#receive(chunk)));
    this.#stream.on("end", () => this.#guard(() => this.#halfClosed()));
  }

  sendHeaders(): void {
    if (this.#stream.destroyed || this.#stream.headersSent) return;
    this.#stream.respond({ ...HEADERS }, { waitForTrailers: true });
  }

  send(parts: readonly Uint8Array[]): boolean {
    const stream = this.#stream;
    // What is sent to a client that left is lost, as it would be on the wire; `closed` has said so or will.
    if (stream.destroyed || this.#status !== undefined) return true;
    this.sendHeaders();
    let length = 0;
    for (const part of parts) length += part.length;
    stream.cork();
    let roomy = stream.write(messagePrefix(length));
    for (const part of parts) roomy = stream.write(part);
    queueMicrotask(() => stream.uncork());
    return roomy;
  }

  end(error?: Error): void {
    if (this.#status !== undefined || this.#stream.destroyed) return;
    this.#status = statusHeaders(error);
    if (!this.#stream.headersSent) {
      this.#stream.respond({ ...HEADERS, ...this.#status }, { endStream: true });
      return;
    }
    this.#stream.end();
    // A client that reads nothing would keep what is queued for ever.
    this.#flush = this.#clock.after(this.#flushMs, () => this.#stream.close(INTERNAL_ERROR));
  }

  #receive(chunk: Buffer): void {
    for (const message of this.#reader.push(chunk)) if (this.#status === undefined) this.#receiver?.message(message);
  }

  #halfClosed(): void {
    this.#reader.finish();
    this.end();
  }

  #guard(step: () => void): void {
    if (this.#status !== undefined) return;
    try {
      step();
    } catch (thrown) {
      this.end(thrown instanceof Error ? thrown : MeshError.from(thrown));
    }
  }

  #close(): void {
    this.#closed = true;
    this.#flush?.[Symbol.dispose]();
    this.#receiver?.closed();
    this.#receiver = undefined;
  }
}
