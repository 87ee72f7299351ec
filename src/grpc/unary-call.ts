import { constants, type ServerHttp2Stream } from "node:http2";
import type { Credentials } from "../caller.ts";
import { MeshError, messageOf } from "../errors.ts";
import { MessageReader, messagePrefix } from "./frames.ts";
import type { UnaryMethod } from "./method.ts";
import { errorOf, respondHeaders, respondStatus, sendTrailers, type Surroundings } from "./respond.ts";
import { statusHeaders } from "./status.ts";

/** gRPC over HTTP/2, Timeout: at most 8 digits and a unit. */
const TIMEOUT = /^([0-9]{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
/** Nothing unary takes longer: what has not ended by then is given up. */
const CALL_MS_MAX = 60_000;

/** One request and one answer over one HTTP/2 stream. */
export class UnaryCall {
  readonly #stream: ServerHttp2Stream;
  readonly #method: UnaryMethod;
  readonly #surroundings: Surroundings;
  readonly #abort = new AbortController();
  /** The method has said its last word. */
  #done = false;

  constructor(stream: ServerHttp2Stream, method: UnaryMethod, surroundings: Surroundings) {
    this.#stream = stream;
    this.#method = method;
    this.#surroundings = surroundings;
  }

  /** Never rejects. `timeout` is the header `grpc-timeout`. */
  async serve(credentials: Credentials, timeout: string | undefined): Promise<void> {
    const stream = this.#stream;
    const timer = this.#surroundings.clock.after(timeoutMs(timeout), () =>
      this.end(new MeshError("timeout", "the call took too long")),
    );
    stream.once("close", () => {
      timer[Symbol.dispose]();
      // To abort what is done, and to say why, costs as much as the rest of a call.
      if (!this.#done) this.#abort.abort(new MeshError("unavailable", "the client left"));
    });
    try {
      const request = await this.#read(credentials);
      const message = await this.#method.call(request, credentials, this.#abort.signal);
      this.#done = true;
      answer(stream, message);
    } catch (thrown) {
      this.#done = true;
      // The method was told to give up, and the client has its answer.
      if (this.#abort.signal.aborted) return;
      respondStatus(stream, statusHeaders(errorOf(thrown, this.#method.path, this.#surroundings.log)));
    }
  }

  async #read({ remoteAddress: address }: Credentials): Promise<Uint8Array> {
    try {
      return await readRequest(this.#stream, this.#method.requestBytesMax);
    } catch (thrown) {
      // Who has left was not refused.
      if (!this.#stream.destroyed)
        this.#surroundings.strangers.warn("call refused unread", {
          path: this.#method.path,
          address,
          why: messageOf(thrown),
        });
      throw thrown;
    }
  }

  /** Gives up: tells the method, and the client why. */
  end(error: MeshError): void {
    this.#abort.abort(error);
    // The answer is under way and the client does not take it.
    if (this.#stream.headersSent) this.#stream.close(constants.NGHTTP2_CANCEL);
    else respondStatus(this.#stream, statusHeaders(error));
  }
}

function timeoutMs(header: string | undefined): number {
  const match = TIMEOUT.exec(header ?? "");
  return match === null ? CALL_MS_MAX : Math.min(Number(match[1]) * UNIT_MS[match[2]!]!, CALL_MS_MAX);
}

function readRequest(stream: ServerHttp2Stream, messageBytesMax: number): Promise<Uint8Array> {
  const reader = new MessageReader(messageBytesMax);
  const messages: Uint8Array[] = [];
  let complete = false;
  return new Promise((resolve, reject) => {
    const attempt = (step: () => void): void => {
      try {
        step();
      } catch (thrown) {
        stream.removeAllListeners("data").resume();
        reject(thrown as Error);
      }
    };
    const take = (chunk: Buffer): void => {
      messages.push(...reader.push(chunk));
      if (messages.length > 1) throw new MeshError("invalid", "the call takes one message, and got more");
    };
    const finish = (): void => {
      reader.finish();
      if (messages[0] === undefined) throw new MeshError("invalid", "the call takes one message, and got none");
      complete = true;
      resolve(messages[0]);
    };
    stream.on("data", (chunk: Buffer) => attempt(() => take(chunk)));
    stream.once("end", () => attempt(finish));
    stream.once("close", () => complete || reject(new MeshError("unavailable", "the client left")));
  });
}

function answer(stream: ServerHttp2Stream, message: Uint8Array): void {
  if (stream.headersSent) return;
  stream.once("wantTrailers", () => sendTrailers(stream, statusHeaders()));
  respondHeaders(stream);
  if (!stream.headersSent) return;
  // In one piece: a second write costs more than the copy.
  stream.end(Buffer.concat([messagePrefix(message.length), message]));
}
