import * as grpc from "@grpc/grpc-js";
import { Backoff } from "../backoff.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { Host } from "../host.ts";
import { failureOf } from "./failure.ts";
import { socketFile } from "./socket-file.ts";

/** What an agent says at once: one identity is 3 kB, a bundle mostly 2 kB. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
/** Its first answer takes milliseconds; attestation of a pod that just began, some seconds. */
const FIRST_ANSWER_MS = 30_000;
/** How often we look whether the socket is still the one that we are connected to. */
const LOOK_MS = 5_000;
/** Failures in a row wait up to 0.5, 1, 2, … seconds, and at least half of that: it is on our node, and is asked little. */
const RETRY = { firstMs: 500, longestMs: 5_000 };

export interface AgentMethod<T> {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** What it throws ends the stream, which is tried again. */
  decode(message: Uint8Array): T;
  /** What mends a refusal: said instead of the agent's words, which follow in brackets. */
  fix(code: grpc.status, words: string): string | undefined;
}

export interface StreamEvents<T> {
  /** Before its first message. */
  connected(): void;
  said(message: T): void;
  broke(why: MeshError): void;
}

/** ⇄ One stream of an agent's, which begins anew for as long as it is wanted. */
export class AgentStream<T> implements Disposable {
  readonly #host: Host;
  readonly #socketPath: string;
  readonly #method: AgentMethod<T>;
  readonly #request: Buffer;
  readonly #events: StreamEvents<T>;
  #attempt: Attempt | undefined;
  #timer: Disposable | undefined;
  readonly #backoff: Backoff;

  constructor(host: Host, socketPath: string, method: AgentMethod<T>, request: Uint8Array, events: StreamEvents<T>) {
    this.#host = host;
    this.#socketPath = socketPath;
    this.#method = method;
    this.#request = Buffer.from(request);
    this.#events = events;
    this.#backoff = new Backoff(host.random, RETRY.longestMs, RETRY.firstMs);
    // Never before the constructor has returned.
    this.#timer = host.clock.after(0, () => this.#begin());
  }

  /** True once it has said something, until it breaks. */
  get connected(): boolean {
    return this.#attempt?.spoke === true;
  }

  [Symbol.dispose](): void {
    this.#end();
  }

  #begin(): void {
    const attempt: Attempt = new Attempt(this.#socketPath, this.#method, this.#request, {
      heard: (bytes) => this.#attempt === attempt && this.#heard(attempt, bytes),
      broke: (why) => this.#attempt === attempt && this.#broke(why),
    });
    this.#attempt = attempt;
    this.#wait(FIRST_ANSWER_MS, () =>
      this.#broke(
        new MeshError("timeout", `${agentName(this.#socketPath)} says nothing for ${FIRST_ANSWER_MS / 1000} s`),
      ),
    );
  }

  #heard(attempt: Attempt, bytes: Uint8Array): void {
    const message = this.#decoded(bytes);
    if (message === undefined) return;
    if (!attempt.spoke) {
      attempt.spoke = true;
      this.#backoff.reset();
      this.#wait(LOOK_MS, () => this.#look());
      this.#events.connected();
    }
    if (this.#attempt === attempt) this.#events.said(message);
  }

  #decoded(bytes: Uint8Array): T | undefined {
    try {
      return this.#method.decode(bytes);
    } catch (thrown) {
      const why = `${agentName(this.#socketPath)} says what makes no sense: ${messageOf(thrown)}`;
      this.#broke(new MeshError("unavailable", why, {}, { cause: thrown }));
      return undefined;
    }
  }

  /** A socket that was replaced belongs to another agent; the old one may neither speak nor end. */
  #look(): void {
    const file = socketFile(this.#socketPath);
    if (file === undefined || file === this.#attempt?.file) this.#wait(LOOK_MS, () => this.#look());
    else this.#broke(new MeshError("unavailable", `${agentName(this.#socketPath)} listens on another socket now`));
  }

  #broke(why: MeshError): void {
    this.#end();
    this.#wait(this.#backoff.next(), () => this.#begin());
    this.#events.broke(why);
  }

  #wait(ms: number, task: () => void): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#host.clock.after(ms, task);
  }

  #end(): void {
    this.#timer?.[Symbol.dispose]();
    const attempt = this.#attempt;
    this.#attempt = undefined;
    attempt?.[Symbol.dispose]();
  }
}

interface AttemptEvents {
  heard(bytes: Uint8Array): void;
  broke(why: MeshError): void;
}

/** One connection with one stream on it. */
class Attempt implements Disposable {
  /** The socket that it found. */
  readonly file: string | undefined;
  spoke = false;
  readonly #client: grpc.Client;
  readonly #call: grpc.ClientReadableStream<Buffer>;

  constructor(
    socketPath: string,
    { path, metadata, fix }: Omit<AgentMethod<unknown>, "decode">,
    request: Buffer,
    events: AttemptEvents,
  ) {
    this.file = socketFile(socketPath);
    this.#client = new grpc.Client(`unix:${socketPath}`, grpc.credentials.createInsecure(), {
      "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      "grpc.service_config_disable_resolution": 1,
    });
    const headers = grpc.Metadata.fromHttp2Headers(metadata);
    this.#call = this.#client.makeServerStreamRequest(path, same, same, request, headers);
    this.#call.on("data", (bytes: Buffer) => events.heard(bytes));
    this.#call.on("error", (error: grpc.ServiceError) =>
      events.broke(failureOf(error, agentName(socketPath), fix(error.code, error.details))),
    );
    this.#call.on("end", () => events.broke(new MeshError("unavailable", `${agentName(socketPath)} ended the stream`)));
  }

  [Symbol.dispose](): void {
    this.#call.cancel();
    this.#client.close();
  }
}

const same = (bytes: Buffer): Buffer => bytes;

/** As in messages. */
export const agentName = (socketPath: string): string => `SPIRE's agent at unix:${socketPath}`;
