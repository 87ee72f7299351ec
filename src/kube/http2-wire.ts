import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from "node:http2";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../host.ts";
import type { KubeLimits } from "./limits.ts";
import type { ExchangeHandler, Wire, WireRequest } from "./wire.ts";

/** All requests to one server over one connection, which is asked for signs of life. ⇄ */
export class Http2Wire implements Wire {
  readonly protocol = "h2";
  readonly #clock: Clock;
  readonly #limits: KubeLimits;
  readonly #socket: TLSSocket;
  readonly #session: ClientHttp2Session;
  readonly #closed: Promise<void>;
  #retired = false;
  #timer: Disposable;
  /** Why the connection ended, which its streams tell less well. */
  #error: Error | undefined;

  /** @param origin as `https://10.0.0.1:6443`. @param socket after its handshake, with nothing read from it. */
  constructor(clock: Clock, origin: string, socket: TLSSocket, limits: KubeLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#socket = socket;
    this.#session = connect(origin, {
      createConnection: () => socket,
      // In megabytes, and never held: what comes is taken at once, and the windows bound what may be under way.
      maxSessionMemory: 100,
      settings: {
        enablePush: false,
        initialWindowSize: limits.streamWindowBytes,
        maxHeaderListSize: limits.headerBytesMax,
      },
    });
    this.#session.once("connect", (session) => session.setLocalWindowSize(limits.connectionWindowBytes));
    for (const end of [socket, this.#session]) end.on("error", (error: Error) => (this.#error ??= error));
    this.#closed = new Promise((resolve) => this.#session.once("close", () => resolve(this.#onClose())));
    this.#timer = clock.after(limits.pingIdleMs, () => this.#ping());
  }

  get usable(): boolean {
    return !this.#retired && !this.#session.closed && !this.#session.destroyed;
  }

  get gone(): boolean {
    return this.#session.destroyed;
  }

  send({ method, path, headers, body }: WireRequest, handler: ExchangeHandler): Disposable {
    const stream = this.#session.request(
      { ...headers, ":method": method, ":path": path },
      { endStream: body === undefined },
    );
    let complete = false;
    let error: Error | undefined;
    stream.on("response", (answer: IncomingHttpHeaders) => handler.onHead(Number(answer[":status"]), answer));
    stream.on("data", (chunk: Buffer) => handler.onData(chunk));
    stream.on("end", () => (complete = true));
    stream.on("error", (thrown) => (error = thrown));
    stream.once("close", () => {
      if (complete && !stream.aborted && stream.rstCode === constants.NGHTTP2_NO_ERROR) handler.onEnd();
      else handler.onFail(this.#error ?? error ?? this.#closedError() ?? new Error("the server gave the answer up"));
    });
    if (body !== undefined) stream.end(body);
    return { [Symbol.dispose]: () => cancel(stream) };
  }

  #closedError(): Error | undefined {
    return this.#session.destroyed ? new Error("the server closed the connection before it had answered") : undefined;
  }

  retire(): void {
    this.#retired = true;
    if (!this.#session.destroyed) this.#session.close();
  }

  async close(error: Error): Promise<void> {
    this.#error ??= error;
    this.#session.destroy();
    this.#socket.destroy();
    await this.#closed;
  }

  #onClose(): void {
    this.#timer[Symbol.dispose]();
    this.#socket.destroy();
  }

  /** Bytes of a long answer are a sign of life, too: on a slow line, the answer to a ping comes after them. */
  #ping(): void {
    if (this.#session.destroyed) return;
    const heardBytes = this.#socket.bytesRead;
    const rest = (): void => void (this.#timer = this.#clock.after(this.#limits.pingIdleMs, () => this.#ping()));
    this.#timer = this.#clock.after(this.#limits.pingAnswerMs, () => {
      if (this.#socket.bytesRead > heardBytes) return this.#ping();
      this.#cut(new Error(`it did not answer a ping for ${this.#limits.pingAnswerMs / 1000} s`));
    });
    this.#session.ping((failed) => {
      if (failed !== null || this.#session.destroyed) return;
      this.#timer[Symbol.dispose]();
      rest();
    });
  }

  #cut(error: Error): void {
    this.#error ??= error;
    this.#session.destroy(error);
    this.#socket.destroy();
  }
}

function cancel(stream: ClientHttp2Stream): void {
  stream.close(constants.NGHTTP2_CANCEL);
  stream.destroy();
}
