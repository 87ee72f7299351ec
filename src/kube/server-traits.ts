import type { Host } from "../host.ts";
import { SparseLog } from "../sparse-log.ts";
import type { ApiError, KubeApi } from "./api.ts";
import { Backoff } from "../backoff.ts";
import { Discovery } from "./discovery.ts";
import { outcomeOf } from "./outcome.ts";

const PROBE_MS = 10_000;
/** One small request for all kinds: a server that is back is found soon (contract operations.md 3.3, L3). */
const PROBES_APART_MS_MAX = 2_000;
const RETRIES_APART_MS = 250;
const STREAMS_AGAIN_MS = 1_800_000;

/** What the reflectors of one API server know of it together, so that a server in trouble is asked once, not per kind. */
export class ServerTraits {
  readonly discovery: Discovery;
  readonly #host: Host;
  readonly #api: KubeApi;
  readonly #log: SparseLog;
  readonly #waiting = new Set<() => void>();
  #probing = new AbortController();
  #reachable = false;
  #problem: string | undefined;
  #warned = false;
  #retryAtMs = 0;
  #streamsFromMs = 0;

  private constructor(
    host: Host,
    api: KubeApi,
    readonly cluster: string,
  ) {
    this.discovery = new Discovery(host.clock, api);
    this.#host = host;
    this.#api = api;
    this.#log = new SparseLog(host.log.scope("kube"), host.clock);
  }

  /** The same for the same `api`; `cluster` is for the log. */
  static of(host: Host, api: KubeApi, cluster: string): ServerTraits {
    let traits = known.get(api);
    if (!traits) known.set(api, (traits = new ServerTraits(host, api, cluster)));
    return traits;
  }

  /** Whether it is worth asking it to stream a list. */
  get streamsLists(): boolean {
    return this.#host.clock.elapsedMs() >= this.#streamsFromMs;
  }

  /** It does not stream lists. It is asked again after half an hour: servers are upgraded. */
  streamsNoLists(): void {
    this.#streamsFromMs = this.#host.clock.elapsedMs() + STREAMS_AGAIN_MS;
  }

  /** Whether it answered the last that was asked of it. */
  get reachable(): boolean {
    return this.#reachable;
  }

  /** Why it cannot be reached; undefined if it can, or nobody has tried. */
  get problem(): string | undefined {
    return this.#reachable ? undefined : this.#problem;
  }

  /** A request got no answer: others wait until the server has answered a small one. Said once, not for each kind. */
  lost(cause?: string): void {
    this.#reachable = false;
    this.#problem = cause ?? this.#problem;
    if (cause === undefined) return;
    const fields = { cluster: this.cluster, server: this.#api.server, cause };
    this.#warned = true;
    this.#log.warn("API server did not answer; what it said before stays in force", fields);
  }

  /** Resolves once the server has answered anything at all, or `signal` ends the wait. One request for all who wait. */
  reach(signal: AbortSignal): Promise<void> {
    if (this.#reachable || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener("abort", done);
        this.#waiting.delete(done);
        if (this.#waiting.size === 0) this.#probing.abort();
        resolve();
      };
      signal.addEventListener("abort", done);
      this.#waiting.add(done);
      if (this.#waiting.size === 1) void this.#probe((this.#probing = new AbortController()).signal);
    });
  }

  /** Milliseconds until the caller may retry: those who failed together come back one by one. */
  spacingMs(): number {
    const nowMs = this.#host.clock.elapsedMs();
    const atMs = Math.max(nowMs, this.#retryAtMs);
    this.#retryAtMs = atMs + RETRIES_APART_MS;
    return atMs - nowMs;
  }

  #answers(): void {
    this.#reachable = true;
    this.#problem = undefined;
    if (!this.#warned) return;
    this.#warned = false;
    const fields = { cluster: this.cluster, server: this.#api.server };
    this.#host.log.scope("kube").info("API server answers again", fields);
  }

  async #probe(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(this.#host.random, PROBES_APART_MS_MAX);
    while (!signal.aborted) {
      const error = await this.#answerTo("/version", signal);
      if (signal.aborted) return;
      if (error === undefined) {
        this.#answers();
        for (const done of [...this.#waiting]) done();
        return;
      }
      const delayMs = backoff.next(error.retryAfterMs);
      this.#problem = error.message;
      this.#warned = true;
      this.#log.warn("API server cannot be reached; what it said before stays in force", {
        cluster: this.cluster,
        server: this.#api.server,
        cause: error.message,
        nextTryMs: Math.round(delayMs),
      });
      await slept(this.#host, delayMs, signal);
    }
  }

  /** Undefined also for refusals: those are for the kinds to handle. */
  async #answerTo(path: string, signal: AbortSignal): Promise<ApiError | undefined> {
    const answer = await outcomeOf(this.#api.call({ method: "GET", path, deadlineMs: PROBE_MS }, signal));
    return "error" in answer && answer.error.status === 0 ? answer.error : undefined;
  }
}

const known = new WeakMap<KubeApi, ServerTraits>();

/** What `promise` comes to, or undefined as soon as `signal` is aborted. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(undefined);
    signal.addEventListener("abort", stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    if (signal.aborted) stop();
  });
}

/** Resolves after `delayMs`, or when `signal` is aborted. */
export function slept(host: Host, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = host.clock.after(delayMs, done);
    signal.addEventListener("abort", done);
  });
}
