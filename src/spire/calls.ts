import * as grpc from "@grpc/grpc-js";
import { Turns } from "../ca/turns.ts";
import { type ErrorCode, MeshError } from "../errors.ts";
import type { Counter, EpochMs, Gauge, Histogram, Host, Logger } from "../host.ts";
import { SparseLog } from "../sparse-log.ts";
import { type ServerChannel, ServerChannels, serverName, type ServerTarget } from "./server-channel.ts";
import { isAnswer, noAnswer, serverFailure } from "./server-failure.ts";
import type { Role, ServerMethod } from "./server-method.ts";

/**
 * More at once, all given up together, and a SPIRE server may never sign again (contract identity.md 1.4). It signs some
 * 400 a second, so the line is what it does within the time that anybody waits.
 */
export const LINE = { atOnceMax: 16, waitingMax: 4_000, waitMs: 10_000 };
/** How long a call that was sent has; up to a fifth more, so that those sent together do not end together. */
const ANSWER_MS = 30_000;
const ANSWER_SPREAD = 0.2;

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** How we and SPIRE's server get on. */
export interface ServerStatus {
  /** As `SPIRE's server at unix:/run/spire/server/api.sock`. */
  readonly server: string;
  /** True if the last call that was sent got an answer, if only a refusal; undefined before the first. */
  readonly connected: boolean | undefined;
  /** Why the last call failed; undefined if it did not. */
  readonly error: string | undefined;
  readonly answeredAt: EpochMs | undefined;
  /** What we are to the server; undefined over its socket, or before the first call. */
  readonly spiffeId: string | undefined;
  readonly inFlight: number;
  readonly waiting: number;
  /** By method, of its last call that was answered. */
  readonly rights: ReadonlyMap<string, RightStatus>;
}

/** Whether our entry lets us call a method. */
export interface RightStatus {
  readonly role: Role;
  readonly at: EpochMs;
  /** Why not; undefined if it does. */
  readonly denied: string | undefined;
}

/** ⇄ The calls to one SPIRE server: in line, one channel for all, none cancelled before its time. */
export class Calls {
  readonly #host: Host;
  readonly #name: string;
  readonly #channels: ServerChannels;
  readonly #line: Turns;
  readonly #log: Logger;
  readonly #sparseLog: SparseLog;
  readonly #ended: Counter;
  readonly #seconds: Histogram;
  readonly #inFlight: Gauge;
  #connected: boolean | undefined;
  #error: string | undefined;
  #answeredAt: EpochMs | undefined;
  #spiffeId: string | undefined;
  readonly #rights = new Map<string, RightStatus>();
  #closed = false;

  constructor(host: Host, target: ServerTarget) {
    this.#host = host;
    this.#name = serverName(target.address);
    this.#channels = new ServerChannels(host.clock, target);
    this.#line = new Turns(host.clock, LINE);
    this.#log = host.log.scope("spire");
    this.#sparseLog = new SparseLog(this.#log, host.clock);
    const { metrics } = host;
    this.#ended = metrics.counter("spire_server_calls_total", "Calls to SPIRE's server that ended.", [
      "method",
      "result",
    ]);
    this.#seconds = metrics.histogram(
      "spire_server_call_duration_seconds",
      "From sending a call to SPIRE's server to its answer.",
      SECONDS,
      ["method"],
    );
    this.#inFlight = metrics.gauge("spire_server_calls_in_flight", "Calls that SPIRE's server has not answered yet.");
  }

  get status(): ServerStatus {
    return {
      server: this.#name,
      connected: this.#connected,
      error: this.#error,
      answeredAt: this.#answeredAt,
      spiffeId: this.#spiffeId,
      inFlight: this.#line.taken,
      waiting: this.#line.waiting,
      rights: this.#rights,
    };
  }

  /**
   * @param signal gives up a call that still waits in line.
   * @throws MeshError as SpireServer.
   */
  async call<T>(
    method: ServerMethod,
    request: Uint8Array,
    decode: (answer: Uint8Array) => T,
    signal?: AbortSignal,
  ): Promise<T> {
    const turn = await this.#turn(method, signal);
    try {
      return await this.#send(method, request, decode);
    } finally {
      turn[Symbol.dispose]();
      this.#inFlight.set(this.#line.taken);
    }
  }

  /** Nothing more is sent; what was sent is awaited, by whoever asked. */
  close(): void {
    this.#closed = true;
    this.#channels.retire();
  }

  async #turn({ name }: ServerMethod, signal: AbortSignal | undefined): Promise<Disposable> {
    try {
      return await this.#line.take(signal);
    } catch (thrown) {
      this.#ended.add(1, { method: name, result: "not_sent" });
      const { message } = MeshError.from(thrown);
      throw new MeshError("unavailable", `${this.#name}: ${message}; ${this.#line.taken} calls are under way`);
    }
  }

  async #send<T>(method: ServerMethod, request: Uint8Array, decode: (answer: Uint8Array) => T): Promise<T> {
    this.#inFlight.set(this.#line.taken);
    let result: ErrorCode | "ok" = "ok";
    try {
      const answer = decode(await this.#answer(method, request));
      this.#note(undefined);
      this.#noteRight(method, undefined);
      return answer;
    } catch (thrown) {
      const failure = MeshError.from(thrown, "unavailable");
      result = failure.code;
      this.#note(failure);
      if (failure.code === "denied") this.#noteRight(method, failure.message);
      throw failure;
    } finally {
      this.#ended.add(1, { method: method.name, result });
    }
  }

  async #answer(method: ServerMethod, request: Uint8Array): Promise<Uint8Array> {
    const { clock } = this.#host;
    const channel = this.#channel();
    const call = channel.begin();
    const sentMs = clock.elapsedMs();
    try {
      return await this.#unary(channel, method, request);
    } finally {
      this.#seconds.observe((clock.elapsedMs() - sentMs) / 1000, { method: method.name });
      call[Symbol.dispose]();
    }
  }

  #channel(): ServerChannel {
    if (this.#closed) throw new MeshError("unavailable", `${this.#name} is not asked any more: we are ending`);
    try {
      const channel = this.#channels.current();
      this.#spiffeId = channel.spiffeId;
      return channel;
    } catch (thrown) {
      throw new MeshError("unavailable", `${this.#name} cannot be asked: ${MeshError.from(thrown).message}`);
    }
  }

  #unary(channel: ServerChannel, method: ServerMethod, request: Uint8Array): Promise<Uint8Array> {
    const { clock, random } = this.#host;
    return new Promise((resolve, reject) => {
      const settle = (error: grpc.ServiceError | null, answer: Buffer | undefined): void => {
        late[Symbol.dispose]();
        if (error === null) resolve(answer!);
        else reject(serverFailure(error, method, { server: this.#name, spiffeId: channel.spiffeId }));
      };
      const message = Buffer.from(request);
      const pending = channel.client.makeUnaryRequest(method.path, same, same, message, new grpc.Metadata(), settle);
      const late = clock.after(ANSWER_MS * (1 + ANSWER_SPREAD * random.next()), () => {
        // A connection that leads nowhere is found out by nothing else: the server lets nobody ping it.
        this.#channels.retire(channel);
        reject(noAnswer(method, this.#name, ANSWER_MS));
        pending.cancel();
      });
    });
  }

  #noteRight({ name, role }: ServerMethod, denied: string | undefined): void {
    this.#rights.set(name, { role, at: this.#host.clock.now(), denied });
  }

  /** Says when the server goes and comes, not each call that failed of it. */
  #note(failure: MeshError | undefined): void {
    const answered = failure === undefined || isAnswer(failure);
    const before = this.#connected;
    this.#connected = answered;
    this.#error = failure?.message;
    if (!answered) {
      this.#sparseLog.warn("SPIRE's server cannot be asked", { why: failure.message });
      return;
    }
    this.#answeredAt = this.#host.clock.now();
    if (before !== true) this.#log.info("SPIRE's server answers", { server: this.#name, spiffeId: this.#spiffeId });
  }
}

const same = (bytes: Buffer): Buffer => bytes;
