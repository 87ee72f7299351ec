import { constants, type ServerHttp2Stream } from "node:http2";
import type { Credentials } from "../caller.ts";
import { MessageReader } from "./frames.ts";
import type { MessageChannel, MessageReceiver, StreamMethod } from "./method.ts";
import { Outbox } from "./outbox.ts";
import { errorOf, release, respondHeaders, respondStatus, sendTrailers, type Surroundings } from "./respond.ts";
import { statusHeaders, type StatusHeaders } from "./status.ts";

/** One stream of messages both ways, over one HTTP/2 stream. */
export class StreamChannel implements MessageChannel {
  readonly #stream: ServerHttp2Stream;
  readonly #method: StreamMethod;
  readonly #surroundings: Surroundings;
  readonly #reader: MessageReader;
  readonly #outbox: Outbox;
  #receiver: MessageReceiver | undefined;
  #status: StatusHeaders | undefined;
  #flush: Disposable | undefined;
  #closed = false;

  constructor(
    stream: ServerHttp2Stream,
    method: StreamMethod,
    readonly credentials: Credentials,
    surroundings: Surroundings,
  ) {
    this.#stream = stream;
    this.#method = method;
    this.#surroundings = surroundings;
    this.#reader = new MessageReader(method.requestBytesMax);
    this.#outbox = new Outbox(stream);
    stream.on("drain", () => this.#drained());
    stream.on("wantTrailers", () => this.#sendTrailers());
    stream.on("close", () => this.#close());
  }

  /** Lets the method decide, then passes messages on. Never rejects. */
  async open(): Promise<void> {
    try {
      this.#receiver = await this.#method.open(this);
    } catch (thrown) {
      this.#fail(thrown);
      return;
    }
    if (this.#closed) {
      this.#receiver.closed();
      return;
    }
    this.#stream.on("data", (chunk: Buffer) => this.#guard(() => this.#receive(chunk)));
    this.#stream.on("end", () => this.#guard(() => this.#halfClosed()));
  }

  get bytesWritten(): number {
    return this.#stream.session?.socket?.bytesWritten ?? 0;
  }

  sendHeaders(): void {
    respondHeaders(this.#stream);
  }

  send(parts: readonly Uint8Array[]): boolean {
    const stream = this.#stream;
    // What is sent to a client that left is lost, as it would be on the wire; `closed` has said so or will.
    if (stream.destroyed || stream.closed || this.#status !== undefined) return true;
    this.sendHeaders();
    return this.#outbox.push(parts);
  }

  end(error?: Error): void {
    const stream = this.#stream;
    if (this.#status !== undefined || stream.destroyed) return;
    this.#status = statusHeaders(error);
    if (error !== undefined) this.#outbox.clear();
    if (!stream.headersSent) respondStatus(stream, this.#status);
    else if (this.#outbox.empty) stream.end();
    // A client that reads nothing would keep what is queued for ever.
    const { clock, flushMs } = this.#surroundings;
    this.#flush = clock.after(flushMs, () => stream.close(constants.NGHTTP2_CANCEL));
  }

  #drained(): void {
    if (!this.#outbox.flush()) return;
    if (this.#status === undefined) this.#guard(() => this.#receiver?.writable());
    else this.#stream.end();
  }

  #receive(chunk: Buffer): void {
    for (const message of this.#reader.push(chunk)) if (this.#status === undefined) this.#receiver?.message(message);
  }

  #halfClosed(): void {
    this.#reader.finish();
    this.end();
  }

  #sendTrailers(): void {
    sendTrailers(this.#stream, this.#status ?? statusHeaders());
    this.#flush?.[Symbol.dispose]();
    // Node drops trailers if the stream is closed in the same turn.
    this.#flush = this.#surroundings.clock.after(0, () => release(this.#stream));
  }

  #guard(step: () => void): void {
    if (this.#status !== undefined) return;
    try {
      step();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #fail(thrown: unknown): void {
    this.end(errorOf(thrown, this.#method.path, this.#surroundings.log));
  }

  #close(): void {
    this.#closed = true;
    this.#flush?.[Symbol.dispose]();
    this.#receiver?.closed();
    this.#receiver = undefined;
  }
}
